"""The web window. In this first shape: metrics and health of the whole house on one port of its own."""
