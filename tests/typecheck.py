"""How types are checked in the tests: an int is a float, as everywhere in Python (PEP 484)."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
