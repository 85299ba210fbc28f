"""Prints the document. Needs `make gen`."""

import json
import sys

from tools.openapi.document import openapi
from tools.openapi.protos import read_descriptors

if __name__ == "__main__":
    json.dump(openapi(read_descriptors()), sys.stdout, ensure_ascii=False, separators=(",", ":"))
