# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world the events come from: Philippine regions, stores and the products they sell."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

# key, name, square kilometres, population, then (province, cities).
REGIONS: list[tuple[str, str, float, int, list[tuple[str, list[str]]]]] = [
    (
        "NCR",
        "National Capital Region",
        619.57,
        13484462,
        [("Metro Manila", ["Quezon City", "Manila", "Makati", "Pasig"])],
    ),
    ("R03", "Central Luzon", 22014.63, 12422172, [("Bulacan", ["Malolos", "Meycauayan"]), ("Pampanga", ["Angeles"])]),
    ("R04A", "CALABARZON", 16873.31, 16195042, [("Cavite", ["Bacoor", "Imus"]), ("Laguna", ["Calamba", "Santa Rosa"])]),
    ("R06", "Western Visayas", 20794.18, 7954723, [("Iloilo", ["Iloilo City"]), ("Negros Occidental", ["Bacolod"])]),
    ("R07", "Central Visayas", 15895.66, 8081988, [("Cebu", ["Cebu City", "Mandaue"]), ("Bohol", ["Tagbilaran"])]),
    ("R11", "Davao Region", 20357.42, 5243536, [("Davao del Sur", ["Davao City", "Digos"])]),
]

# category: brands with (product, list price).
RANGE: dict[str, dict[str, list[tuple[str, float]]]] = {
    "Beverages": {
        "Kape Uno": [("3-in-1 Coffee Twin Pack", 15.50), ("Instant Coffee 50g", 62.00)],
        "Sariwa": [("Orange Drink 1L", 48.75), ("Mineral Water 500ml", 15.00), ("Iced Tea 355ml", 22.00)],
        "Bukal": [("Cola 1.5L", 72.00), ("Cola Sakto 200ml", 14.00)],
    },
    "Snacks": {
        "Merienda": [("Corn Chips 60g", 18.00), ("Garlic Peanuts 100g", 27.25), ("Cheese Puffs 55g", 16.50)],
        "Tropiko": [("Banana Chips 100g", 39.00), ("Dried Mango 80g", 95.00)],
    },
    "Canned Goods": {
        "Dagat": [("Sardines in Tomato Sauce 155g", 24.50), ("Tuna Flakes 180g", 38.00)],
        "Bukid": [("Corned Beef 150g", 43.75), ("Meat Loaf 170g", 31.00)],
    },
    "Noodles": {"Mabilis": [("Chicken Instant Noodles", 11.25), ("Pancit Canton Kalamansi", 15.75)]},
    "Household": {
        "Linis": [("Laundry Bar 130g", 19.00), ("Detergent Powder 66g", 9.50), ("Dishwashing Liquid 250ml", 58.00)],
    },
    "Personal Care": {
        "Ganda": [("Shampoo Sachet 12ml", 7.50), ("Bath Soap 90g", 42.00), ("Toothpaste 50ml", 55.25)],
    },
    "Tobacco": {"Hataw": [("Menthol Stick", 9.00), ("Red Pack of 20", 165.00)]},
    "Dairy": {"Gatas": [("Powdered Milk 33g", 13.00), ("Evaporated Milk 370ml", 47.50), ("Butter 100g", 78.00)]},
}

# Sold, but missing in the catalog, so that linking covers about 99 %.
UNLISTED = ("P-NEW-1", "Chili Vinegar 200ml", "Bagong Ani", "Condiments", 29.50)


@dataclass(frozen=True)
class _Store:
    """A shop and where it lies."""

    store_id: str
    region: str
    province: str
    city: str


@dataclass(frozen=True)
class _Product:
    """Something sold, at its price in centavos."""

    product_id: str
    name: str
    brand: str
    category: str
    centavos: int


STORES = [
    _Store(f"S{number:03d}", region, province, city)
    for number, (region, province, city) in enumerate(
        itertools.islice(
            itertools.cycle([(r[1], p, c) for r in REGIONS for p, cities in r[4] for c in cities]),
            60,
        ),
        start=1,
    )
]

PRODUCTS = [
    _Product(f"P{number:03d}", name, brand, category, round(price * 100))
    for number, (category, brand, name, price) in enumerate(
        ((c, b, n, p) for c, brands in RANGE.items() for b, items in brands.items() for n, p in items), start=1
    )
]

SOLD = [*PRODUCTS * 4, _Product(*UNLISTED[:4], round(UNLISTED[4] * 100))]


def regions() -> list[tuple[object, ...]]:
    """Rows of dim_region: key, name, area, population, geometry."""
    return [(key, name, area, people, None) for key, name, area, people, _ in REGIONS]


def stores() -> list[tuple[object, ...]]:
    """Rows of dim_store: id, name, region, province, city."""
    return [(s.store_id, f"Tindahan {s.city} {s.store_id[1:]}", s.region, s.province, s.city) for s in STORES]


def products() -> list[tuple[object, ...]]:
    """Rows of dim_product: id, key, name, brand, category, list price."""
    return [
        (
            p.product_id,
            f"{p.brand}:{p.product_id}".lower().replace(" ", "-"),
            p.name,
            p.brand,
            p.category,
            p.centavos / 100,
        )
        for p in PRODUCTS
    ]
