"""How types are checked in the tests: a number that is a float may be written 2, as everywhere in Python (PEP 484)."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
