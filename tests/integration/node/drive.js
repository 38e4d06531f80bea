// Drives one official Node SDK: node drive.js SDK URL KEY CALLS, where CALLS is JSON: [[kind, fields], …].
// Ends when the SDK has said of every call that it is through; a call that is given up ends it with code 1.
"use strict";

const [sdk, url, key, text] = process.argv.slice(2);
const calls = JSON.parse(text).map(([kind, fields]) => {
  const call = { ...fields };
  if (call.timestamp) call.timestamp = new Date(call.timestamp);
  return [kind, call];
});

function told(act) {
  return new Promise((resolve, reject) => act((error) => (error ? reject(error) : resolve())));
}

async function segmentNode() {
  const { Analytics } = require("@segment/analytics-node");
  const analytics = new Analytics({ writeKey: key, host: url, flushInterval: 100 });
  let failed = null;
  analytics.on("error", (error) => { failed = error; });
  const done = calls.map(([kind, call]) => told((callback) => analytics[kind](call, callback)));
  await Promise.all(done);
  await analytics.closeAndFlush({ timeout: 30000 });
  if (failed) throw new Error(String(failed.reason || failed));
}

async function callbacks(analytics) {
  const done = calls.map(([kind, call]) => told((callback) => analytics[kind](call, callback)));
  await told((callback) => analytics.flush(callback));
  await Promise.all(done);
}

async function analyticsNode() {
  const Analytics = require("analytics-node");
  await callbacks(new Analytics(key, { host: url, flushInterval: 100 }));
}

async function rudderNode() {
  const module = require("@rudderstack/rudder-sdk-node");
  const RudderAnalytics = module.default || module;
  await callbacks(new RudderAnalytics(key, { dataPlaneUrl: url, flushInterval: 100 }));
}

const drivers = {
  "@segment/analytics-node": segmentNode,
  "analytics-node": analyticsNode,
  "@rudderstack/rudder-sdk-node": rudderNode,
};

drivers[sdk]().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
