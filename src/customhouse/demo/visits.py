"""
One visit to the shop, step by step: looking round, searching, filling a cart, signing up, paying, changing one's mind.

Ratios and pauses follow a public data set of shop sessions: of a hundred visits eighty see a product, a third put one
into the cart, a fifth begin to order and one in eight pays; half the pauses are longer than a minute and a half.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any, Literal

from msgspec import Struct, field

from customhouse.demo import shop
from customhouse.demo.consent import UPDATED, Consent, other_mind
from customhouse.demo.marketing import EAGERNESS, Arrival
from customhouse.demo.people import Device, Person

Kind = Literal["track", "identify", "page", "group", "alias"]
Origin = Literal["browser", "server"]
_TERMS = (
    "coffee",
    "blue ink",
    "helmet",
    "lamp",
    "gift",
    "seeds",
    "gloves",
    "blanket",
    "chess",
    "kerzenständer",
    "żarówka",
)

EVENTS_PER_VISIT = 7.7
"""On the average; what a stretch of time is filled by."""


class Step(Struct):
    """One call to an SDK, in words no SDK has shaped yet."""

    pause: float
    """Seconds since the step before."""
    type: Kind
    name: str = ""
    """Of a track event or a page."""
    said: dict[str, Any] = field(default_factory=dict)
    """Properties, or traits of identify and group."""
    origin: Origin = "browser"
    path: str = "/"
    title: str = ""
    user_id: str = ""
    anonymous_id: str = ""
    group_id: str = ""
    previous_id: str = ""
    consent: Consent | None = None


class World(Struct):
    """What a visit needs to know besides who comes: chance, fresh numbers, and the mistakes of the shop's makers."""

    rng: random.Random
    ids: random.Random
    """For numbers of orders and carts, which differ from run to run."""
    unlinked: Callable[[], bool] = lambda: False
    """Says of a sign-up whether the browser is never told of it."""


class Visit:
    """Somebody on a device, from the first page to the last. Iterate over it once."""

    def __init__(self, person: Person, device: Device, arrival: Arrival, world: World) -> None:
        """Begin; `now` is set by whoever keeps the time, before every step."""
        self.person = person
        self.device = device
        self.arrival = arrival
        self.session = world.ids.randrange(10**12, 10**13)
        self.now = 0
        self.landed = False
        self._rng = world.rng
        self._world = world
        self._cart: list[shop.Line] = []
        self._path, self._title = "/", "Home"

    def __iter__(self) -> Iterator[Step]:
        """Walk through the shop."""
        rng, person = self._rng, self.person
        eager = EAGERNESS[self.arrival.channel]
        yield self._page("/", "Home") if rng.random() < 0.6 else self._page("/sale", "Sale")
        if rng.random() < 0.03:
            person.consent = other_mind(person.consent, rng)
            yield self._track(UPDATED, {}, pause=4.0)
        if person.registered and (self.device.signed_in or rng.random() < 0.5):
            yield from self._sign_in()
        if person.orders and rng.random() < 0.08:
            yield self._refund()
        if rng.random() < 0.17:
            return
        yield from self._browse(eager)
        if self._cart and rng.random() < 0.66:
            yield from self._check_out(eager)
        elif not person.registered and rng.random() < 0.05:
            yield from self._sign_up()

    # Steps.

    def _think(self) -> float:
        """Return how long somebody looks at a page, in seconds."""
        return min(900.0, self._rng.lognormvariate(4.4, 0.95))

    def _step(self, type_: Kind, name: str, said: dict[str, Any], pause: float | None = None) -> Step:
        person = self.person
        return Step(
            pause=self._think() if pause is None else pause,
            type=type_,
            name=name,
            said=said,
            path=self._path,
            title=self._title,
            user_id=person.user_id if self.device.signed_in else "",
            anonymous_id=self.device.anonymous_id,
            group_id=person.company.group_id if person.company and self.device.signed_in else "",
            consent=person.consent,
            origin="server" if self.device.relayed else "browser",
        )

    def _track(self, name: str, said: dict[str, Any], pause: float | None = None) -> Step:
        return self._step("track", name, said, pause)

    def _page(self, path: str, title: str, pause: float | None = None) -> Step:
        self._path, self._title = path, title
        return self._step("page", title, {"url": shop.ORIGIN + path, "path": path, "title": title}, pause)

    def _on_server(self, step: Step, *, linked: bool) -> Step:
        """Make a step one of the shop's own server, which knows the account and, when it was told, the browser."""
        step.origin = "server"
        step.user_id = self.person.user_id
        step.anonymous_id = self.device.anonymous_id if linked else ""
        return step

    # Looking round.

    def _browse(self, eager: float) -> Iterator[Step]:
        rng = self._rng
        for _ in range(min(8, 1 + int(rng.expovariate(0.42)))):
            if rng.random() < 0.42:
                yield self._search()
            else:
                shelf = rng.choice(shop.CATEGORIES)
                yield self._page(f"/category/{shelf}", shelf.title())
            if rng.random() < 0.12:
                continue
            for _ in range(1 + (rng.random() < 0.35)):
                product = shop.choose(rng)
                yield self._viewed(product)
                if rng.random() < 0.145 * eager:
                    yield self._added(product)

    def _search(self) -> Step:
        query = self._rng.choice(_TERMS)
        self._path, self._title = "/search", f"Search: {query}"
        return self._track("Products Searched", {"query": query, "results": self._rng.randrange(40)})

    def _viewed(self, product: shop.Product) -> Step:
        self._path, self._title = product.url.removeprefix(shop.ORIGIN), product.name
        return self._track("Product Viewed", self._described(product) | {"position": self._rng.randrange(1, 25)})

    def _added(self, product: shop.Product) -> Step:
        quantity = self._rng.choices((1, 2, 3), (80, 15, 5))[0]
        self._cart.append(shop.Line(product, quantity))
        said = {"cart_id": f"c-{self.session}", "quantity": quantity}
        return self._track("Product Added", said | self._described(product))

    def _described(self, product: shop.Product) -> dict[str, Any]:
        currency = self.person.currency
        return {
            "product_id": product.product_id,
            "sku": product.sku,
            "name": product.name,
            "category": product.category,
            "brand": product.brand,
            "price": shop.priced(product.price, currency),
            "currency": currency,
            "url": product.url,
            "image_url": product.image_url,
        }

    # Accounts.

    def _sign_in(self) -> Iterator[Step]:
        self.device.signed_in = True
        person = self.person
        traits = {"email": person.email, "name": person.name, "plan": person.plan}
        yield self._step("identify", "", traits, 6.0)
        if person.company:
            company = person.company
            yield self._step("group", "", {"name": company.name, "employees": company.employees}, 0.2)

    def _sign_up(self) -> Iterator[Step]:
        """Open an account. Half of the sign-ups are told by the server; some of those never reach the browser's SDK."""
        rng, person = self._rng, self.person
        unlinked = self._world.unlinked()
        method = rng.choices(("email", "google", "apple"), (70, 20, 10))[0]
        said = {"method": method, "plan": person.plan, "newsletter": rng.random() < 0.4}
        person.created_at = self.now
        if unlinked:
            yield self._on_server(self._track("Signed Up", said, 30.0), linked=False)
            return
        if rng.random() < 0.25:
            alias = self._step("alias", "", {}, 30.0)
            alias.user_id, alias.previous_id = person.user_id, self.device.anonymous_id
            yield alias
        self.device.signed_in = True
        step = self._track("Signed Up", said, 2.0)
        yield self._on_server(step, linked=True) if rng.random() < 0.5 else step
        yield from self._sign_in()

    # Buying.

    def _check_out(self, eager: float) -> Iterator[Step]:
        rng, person = self._rng, self.person
        number = f"o-{self._world.ids.randrange(10**9, 10**10)}"
        coupon = {"coupon": "WELCOME10"} if rng.random() < 0.2 else {}
        said: dict[str, Any] = shop.amounts(self._cart, person.currency, 0.1 if coupon else 0.0)
        ordered = {
            "order_id": number,
            "affiliation": shop.AFFILIATION,
            "currency": person.currency,
            "products": [self._line(line) for line in self._cart],
        } | coupon
        yield self._page("/checkout", "Checkout")
        subtotal = said.pop("subtotal")
        began = {name: amount for name, amount in said.items() if name != "total"}
        yield self._track("Checkout Started", ordered | began | {"value": said["total"]}, 3.0)
        if rng.random() > 0.58 * eager:
            return
        if not person.registered:
            yield from self._sign_up()
        elif not self.device.signed_in:
            yield from self._sign_in()
        bought = ordered | said | {"subtotal": subtotal, "checkout_id": f"k-{self.session}"}
        yield self._bought(bought)
        person.orders = [*person.orders[-2:], (number, said["total"])]
        yield self._page("/thank-you", "Thank you", 1.0)

    def _bought(self, said: dict[str, Any]) -> Step:
        """Tell of the order: the server when it takes the payment, the browser otherwise."""
        step = self._track("Order Completed", said, 40.0)
        if self.device.signed_in and self._rng.random() < 0.4:
            return step
        return self._on_server(step, linked=self._rng.random() < 0.6)

    def _line(self, line: shop.Line) -> dict[str, Any]:
        product = line.product
        return {
            "product_id": product.product_id,
            "sku": product.sku,
            "name": product.name,
            "price": shop.priced(product.price, self.person.currency),
            "quantity": line.quantity,
        }

    def _refund(self) -> Step:
        number, total = self.person.orders.pop()
        said = {"order_id": number, "total": total, "currency": self.person.currency}
        return self._on_server(self._track("Order Refunded", said, 5.0), linked=False)
