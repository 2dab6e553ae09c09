"""The texts of the generated account: names, notes, currencies and time zones.

All of it is invented; e-mail addresses and hosts end in `.example`, which cannot be registered.
"""

from decimal import Decimal

#: The accounts that one sandbox can serve: company name and instance.
COMPANIES = (("Fernhill & Söhne", "fernhill"), ("Larkspur Studio", "larkspur"))

FIRST_NAMES = (
    "Ada", "Björn", "Chi", "Dolores", "Émilie", "Farid", "Grace", "Hiroshi", "Inês", "Jonas",
    "Katarzyna", "Liam", "Mónica", "Nnamdi", "Oskar", "Priya", "Quentin", "Ragnhild", "Søren",
    "Tomás", "Uma", "Vera", "Wei", "Xiomara", "Yusuf", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Okafor", "Lindström", "Tanaka", "Fernández", "Dubois", "Haddad", "O'Neill", "Sato", "Moreira",
    "Weiß", "Nowak", "Byrne", "García", "Eze", "Virtanen", "Raman", "Lefèvre", "Haugen", "Kjær",
    "Novák", "Patel", "Petrova", "Zhang", "Castillo", "Yıldız", "van der Meer",
)  # fmt: skip

#: Display name of a time zone in Harvest, and the IANA name.
TIME_ZONES = (
    ("Berlin", "Europe/Berlin"),
    ("London", "Europe/London"),
    ("Madrid", "Europe/Madrid"),
    ("Eastern Time (US & Canada)", "America/New_York"),
    ("Kyiv", "Europe/Kiev"),
    ("Pacific Time (US & Canada)", "America/Los_Angeles"),
    ("Lisbon", "Europe/Lisbon"),
    ("Tokyo", "Asia/Tokyo"),
)

ROLES = ("Designer", "Developer", "Project Manager", "Strategist", "Copywriter", "Back office")

#: Client, code, currency, multiple of a rate in the home currency.
CLIENTS = (
    ("Aster Foods", "AST", "USD", Decimal("1.1")),
    ("Bjørnstad Shipping", "BJO", "NOK", Decimal("11.5")),
    ("Crème & Cie", "CRE", "EUR", Decimal(1)),
    ("Daikoku 建設", "DAI", "JPY", Decimal(160)),
    ("Ember Energy", "EMB", "GBP", Decimal("0.85")),
    ("123 Fahrräder", "FAH", "CHF", Decimal("0.95")),
    ("Glühwürmchen Verlag", "GLU", "EUR", Decimal(1)),
    ("Harbour Trust", "HAR", "USD", Decimal("1.1")),
    ("Île Verte", "ILE", "CAD", Decimal("1.5")),
)
HOME_CURRENCY = "EUR"
STREETS = (
    "12 Orchard Lane",
    "Hafenstraße 7",
    "3, rue de l'Église",
    "Calle Mayor 21, 2º",
    "丸の内 1-9",
)
CITIES = ("Burlington, VT 05401", "20457 Hamburg", "69001 Lyon", "28013 Madrid", "東京都 100-0005")
TITLES = (
    "Head of Marketing",
    "Chief Financial Officer",
    "Accounts payable",
    "Geschäftsführerin",
    None,
)

#: Project name and the last part of its code.
PROJECTS = (
    ("Website Relaunch", "WEB"), ("Brand Refresh", "BRD"), ("Mobile App", "APP"),
    ("Support Retainer", "SUP"), ("Data Platform", "DAT"), ("Campaña de verano", "CAM"),
    ("Online-Shop „Größe L“", "SHP"), ("Accessibility Audit", "A11Y"),
)  # fmt: skip
#: Task, billable by default, added to new projects, share of the default rate.
TASKS = (
    ("Design", True, True, Decimal(1)),
    ("Programming", True, True, Decimal("1.1")),
    ("Marketing", True, True, Decimal("0.9")),
    ("Project Management", False, True, Decimal(1)),
    ("Business Development", False, True, Decimal(1)),
    ("Workshop", True, False, Decimal("1.25")),
    ("Qualitätssicherung", True, False, Decimal("0.8")),
    ("Fax support", True, False, Decimal("0.7")),
)
#: Category, unit, price per unit, typical cost in the home currency (of one unit if there is one).
EXPENSE_CATEGORIES = (
    ("Entertainment", None, None, 80),
    ("Meals", None, None, 35),
    ("Lodging", None, None, 140),
    ("Transportation", None, None, 60),
    ("Other", None, None, 25),
    ("Mileage", "mile", Decimal("0.655"), 0),
    ("Telegrams", "word", Decimal("0.05"), 0),
)
#: The categories (of tasks and of expenses) that are inactive.
ARCHIVED = ("Fax support", "Telegrams")

NOTES = (
    "Weekly call with the client", "Checkout form", "Réunion de cadrage", "Bug fixing 🐛",
    "Besprechung über Größen und Maße", "Wireframes, second round", "Code review",
    "Deployed to staging 🚀\r\nWaiting for sign-off", "Revisión de textos", "",
    "Fixes:\r\n- focus order\r\n- contrast\r\n- \"skip\" link", "Import of 1,204 rows",
    "打ち合わせ", "Planning; next steps = see board", "Печать макетов", "Newsletter № 7",
    "Interview notes\twith tab", "C:\\temp\\export.csv", "<b>not</b> HTML & co.",
    "Workshop day 1 ☕",
)  # fmt: skip
EXPENSE_NOTES = (
    "Train to client workshop", "Déjeuner d'équipe 🍽️", "Hotel, 1 Nacht", "Taxi\r\nairport – office",
    "Stock photos", "Client dinner", "",
)  # fmt: skip
PAYMENT_NOTES = ("", "Wire transfer", "First part, wire transfer", "Überweisung", "Thanks 🙏")
PROJECT_NOTES = (None, "Kick-off was moved once.\r\nSee contract § 4.", "Größte Baustelle: Inhalte")
GATEWAYS = ((4511, "Stripe"), (7302, "PayPal"))

#: Month and day on which nobody works.
HOLIDAYS = frozenset({(1, 1), (5, 1), (12, 24), (12, 25), (12, 26), (12, 31)})
