"""
The shop of the demo: its pages, and a catalogue of some sixty products nobody can buy.

Everything is invented, brands included. Prices are in euros with tax; other currencies are reckoned from them.
"""

import random
from itertools import accumulate

from msgspec import Struct

ORIGIN = "https://shop.example.com"
AFFILIATION = "web shop"
RATES = {"EUR": 1.0, "GBP": 0.85, "USD": 1.1, "PLN": 4.3, "SEK": 11.2}
"""What a euro costs; for a demo it never changes."""


class Product(Struct, frozen=True):
    """One thing on the shelf."""

    product_id: str
    sku: str
    name: str
    category: str
    brand: str
    price: float
    url: str
    image_url: str


class Line(Struct):
    """A product in a cart, and how many of it."""

    product: Product
    quantity: int


_SHELVES: dict[str, tuple[str, tuple[tuple[str, float], ...]]] = {
    "coffee": (
        "Morgenrot",
        (("Espresso Beans 500 g", 11.9), ("Filter Roast 250 g", 7.5), ("Decaf Beans 500 g", 12.4),
         ("Hand Grinder", 59.0), ("Moka Pot", 34.9), ("Paper Filters", 4.2), ("Milk Jug", 18.5), ("Travel Press", 29.9)),
    ),
    "kitchen": (
        "Tischlein",
        (("Chef's Knife", 79.0), ("Cutting Board", 32.0), ("Cast Iron Pan", 64.0), ("Measuring Spoons", 9.9),
         ("Salad Bowl", 27.5), ("Apron", 24.0), ("Pepper Mill", 38.0), ("Bread Box", 45.0)),
    ),
    "garden": (
        "Grünspan",
        (("Pruning Shears", 31.0), ("Watering Can", 22.9), ("Tomato Seeds", 3.4), ("Raised Bed", 119.0),
         ("Gloves", 12.9), ("Compost Bin", 74.0), ("Bird Feeder", 19.9), ("Herb Set", 15.5)),
    ),
    "paper": (
        "Federleicht",
        (("Notebook A5", 8.9), ("Fountain Pen", 46.0), ("Ink, Blue", 6.9), ("Wall Calendar", 16.0),
         ("Gift Wrap", 5.5), ("Sketch Pad", 13.9), ("Wax Seal", 17.0), ("Desk Organiser", 28.0)),
    ),
    "bicycle": (
        "Kettenhund",
        (("Front Light", 39.9), ("Rear Light", 24.9), ("Chain Oil", 8.5), ("Pannier Bag", 89.0),
         ("Helmet", 69.0), ("Bell", 11.0), ("Floor Pump", 42.0), ("Folding Lock", 79.9)),
    ),
    "sleep": (
        "Sandmann",
        (("Linen Sheets", 139.0), ("Wool Blanket", 99.0), ("Feather Pillow", 54.0), ("Alarm Clock", 35.0),
         ("Sleep Mask", 14.9), ("Slippers", 29.0), ("Night Light", 21.0)),
    ),
    "games": (
        "Würfelbecher",
        (("Chess Set", 49.0), ("Playing Cards", 7.9), ("Jigsaw 1000", 18.9), ("Dominoes", 15.0),
         ("Strategy Game", 44.9), ("Dice Tower", 26.0), ("Travel Ludo", 12.5)),
    ),
    "lamps": (
        "Lichtblick",
        (("Desk Lamp", 84.0), ("Reading Light", 39.0), ("Paper Shade", 16.9), ("Bulb, Warm", 7.4),
         ("Floor Lamp", 159.0), ("String Lights", 19.5)),
    ),
}  # fmt: skip  # one shelf, one block


def _stock() -> tuple[Product, ...]:
    found: list[Product] = []
    for shelf, (brand, things) in _SHELVES.items():
        for name, price in things:
            number = len(found) + 1
            slug = "-".join("".join(c for c in word if c.isalnum()) for word in name.lower().split())
            found.append(
                Product(
                    product_id=f"p-{number:03d}",
                    sku=f"{shelf[:3].upper()}-{number:03d}",
                    name=name,
                    category=shelf,
                    brand=brand,
                    price=price,
                    url=f"{ORIGIN}/products/{slug}",
                    image_url=f"{ORIGIN}/images/p-{number:03d}.webp",
                )
            )
    return tuple(found)


CATALOGUE = _stock()
CATEGORIES = tuple(_SHELVES)
_FAME = list(accumulate(1 / (rank + 3) for rank in range(len(CATALOGUE))))
_BY_RANK = tuple(sorted(CATALOGUE, key=lambda product: product.name))
"""In an order that has nothing to do with the shelves, so that what sells best stands on all of them."""


def choose(rng: random.Random) -> Product:
    """Return a product, the famous ones more often."""
    return rng.choices(_BY_RANK, cum_weights=_FAME)[0]


def priced(euros: float, currency: str) -> float:
    """Return an amount of euros in a currency, to the cent."""
    return round(euros * RATES[currency], 2)


def amounts(cart: list[Line], currency: str, discount: float) -> dict[str, float]:
    """Return what an order costs, as the properties of the e-commerce specification name it. `discount` is a share."""
    goods = sum(line.product.price * line.quantity for line in cart)
    off = goods * discount
    shipping = 0.0 if goods >= 60 else 4.9
    tax = (goods - off) * 0.19 / 1.19
    said = {
        "subtotal": goods,
        "discount": off,
        "shipping": shipping,
        "tax": tax,
        "revenue": goods - off - tax,
        "total": goods - off + shipping,
    }
    return {name: priced(value, currency) for name, value in said.items()}
