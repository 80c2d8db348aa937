"""Word lists the shop's people, places and goods are named from. Data only.

E-mail domains and telephone numbers are from ranges reserved for examples and fiction.
"""

# ruff: noqa: SIM905  (a list of words reads better as words)
from __future__ import annotations

GIVEN = (
    "Anna Ben Chloé Daniel Elif Fátima Georg Hana Ivo Jürgen Karolína Léa Mateo Nadia Oluwaseun Pavel Quinn Renée "
    "Søren Tomáš Umar Vera Wei Xenia Yuki Zoë Adam Bianca Carlos Dora Emil Frida"
).split()
FAMILY = (
    "Novák Müller O'Connor García Smith Dubois Nguyễn Łukasz Åkesson D'Angelo Demirci Papadopoulos Kovač Brown Sato "
    "Fernández Öztürk Weiß Ivanova MacLeod van-Dijk Hansen Žižka Rossi Laurent Wójcik Taylor Klein Moreau Svoboda"
).split()

#: Names that break careless SQL, CSV, JSON, shells and logs.
AWKWARD = (
    "Robert'); DROP TABLE customers;--",
    'Dwayne "The Rock" O\'Neil, Jr.',
    "山田 太郎",
    "' OR '1'='1",
    "Null",
    "Юлий\tФилин",
    "😀 Emoji \\ Backslash",
    "${jndi:none} {{ ds }} %s",
)

CITIES: dict[str, tuple[str, ...]] = {
    "US": ("Austin", "Boston", "Seattle", "Coeur d'Alene"),
    "GB": ("London", "Leeds", "Bristol", "King's Lynn"),
    "DE": ("Berlin", "München", "Köln", "Düsseldorf"),
    "FR": ("Paris", "Lyon", "Nîmes", "L'Haÿ-les-Roses"),
    "CZ": ("Praha", "Brno", "Plzeň", "Ústí nad Labem"),
    "ES": ("Madrid", "Málaga", "A Coruña", "Sevilla"),
    "NL": ("Amsterdam", "Utrecht", "'s-Hertogenbosch", "Delft"),
}
COUNTRIES = tuple(CITIES)
#: Order currency by country; the rest pay in EUR.
CURRENCY = {"US": "USD", "GB": "GBP"}
DIAL = {
    "US": "+1 202 555 01",
    "GB": "+44 20 7946 0",
    "DE": "+49 30 23125 ",
    "FR": "+33 1 99 00 ",
    "CZ": "+420 555 0",
    "ES": "+34 555 0",
    "NL": "+31 555 0",
}
SEGMENTS = ("consumer", "business", "vip")

CATEGORIES: dict[str, tuple[str, ...]] = {
    "kitchen": ("Mug", "Kettle", "Crêpe Pan", "Chef's Knife", "Whisk"),
    "office": ("Desk Lamp", "Notebook A5", "Fountain Pen", "Paper Tray"),
    "garden": ("Watering Can", "Trowel", "Bird Feeder", "Hose 15m"),
    "toys": ("Puzzle", "Kite", "Wooden Train", "Marionette"),
    "textile": ("Blanket", "Tea Towel", "Scarf", "Kids' Apron"),
}
MATERIALS = ("Oak", "Steel", "Linen", "Café", "Blue", "Recycled", "Märchen", "Grey", "Copper", 'Large 12"')
PAGES = ("/", "/sale", "/search?q=caf%C3%A9", "/search?q=O%27Brien", "/account", "/help", "/basket?ref=a&b=1")

STATUSES = ("placed", "paid", "shipped", "delivered", "cancelled", "returned")
EVENT_TYPES = ("page_view", "product_view", "add_to_cart", "checkout", "purchase")
CURRENCIES = ("USD", "EUR", "GBP")

INDUSTRIES = ("Retail", "Hospitality", "Education", "Manufacturing")
STAGES = ("Prospecting", "Proposal", "Negotiation", "Closed Won", "Closed Lost")
#: The currency that rates are quoted against, and what one of it was worth on the first day, in millionths.
BASE = "EUR"
FIRST_RATES = {"USD": 1_172_000, "GBP": 868_000}
