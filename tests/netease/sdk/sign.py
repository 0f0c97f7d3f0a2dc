"""Lets the vendor's signing program sign: sign.py ROWS, in an empty folder.

ROWS is a file of JSON: a list of rows by the names of its columns. It tells the rows that came out, as JSON, too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest import mock

import pandas as pd
from YunxinServerApiSigner import main

SHEET = "rows.xlsx"
SIGNED = "rows_signed.xlsx"
"""What it calls the other one by itself."""


def sign(rows: list[dict[str, str | int]]) -> object:
    """The rows as they are signed."""
    pd.DataFrame(rows).to_excel(SHEET, index=False, engine="openpyxl")
    # It is older than pandas 2, which has taken this method away: `close` is what wrote the file all along.
    with (
        mock.patch.object(pd.ExcelWriter, "save", pd.ExcelWriter.close, create=True),
        mock.patch.object(sys, "argv", ["YunxinServerApiSigner", "--input-file", SHEET]),
    ):
        main.main()
    return json.loads(pd.read_excel(SIGNED, engine="openpyxl").to_json(orient="records"))


json.dump(sign(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), sys.stdout)
