"""Tables with mixed columns and missing values as rows of numbers, and back (`schema.py`)."""

from .column import COLUMN_KINDS, Column
from .inference import FEW_VALUES, table_schema
from .schema import TableSchema

__all__ = ["COLUMN_KINDS", "FEW_VALUES", "Column", "TableSchema", "table_schema"]
