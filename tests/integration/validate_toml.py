"""Checks TOML files against a JSON Schema: validate_toml.py SCHEMA FILE...

Prints a line for each file: "FILE: ok", or "FILE: " and the place of the first fault. Exits with 77
where Debian's python3-jsonschema is missing.
"""

import json
import sys
import tomllib

try:
    import jsonschema
except ImportError:
    sys.exit(77)

with open(sys.argv[1]) as file:
    schema = json.load(file)
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for name in sys.argv[2:]:
    with open(name, "rb") as file:
        document = tomllib.load(file)
    faults = sorted(validator.iter_errors(document), key=lambda fault: fault.json_path)
    print(f"{name}: {f'{faults[0].json_path}: {faults[0].message}' if faults else 'ok'}")
