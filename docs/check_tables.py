# SPDX-License-Identifier: Apache-2.0
"""Compares the generated tables in a document with what the program prints, or writes them (--write).

A table stands between the lines "<!-- table: NAME -->" and "<!-- end of table -->"."""
import re
import subprocess
import sys


def main():
    program, document = sys.argv[1:3]
    write = sys.argv[3:] == ["--write"]
    with open(document, encoding="utf-8") as file:
        text = file.read()
    names = []

    def fresh(match):
        names.append(match[1])
        table = subprocess.run([program, match[1]], check=True, capture_output=True, encoding="utf-8").stdout
        return f"<!-- table: {match[1]} -->\n{table}<!-- end of table -->"

    new = re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end of table -->", fresh, text, flags=re.S)
    if not names:
        sys.exit(f"{document}: no table to compare")
    if new == text:
        return
    if not write:
        sys.exit(f"{document}: the tables ({', '.join(names)}) are not the code's; ninja docs-tables writes them")
    with open(document, "w", encoding="utf-8") as file:
        file.write(new)


main()
