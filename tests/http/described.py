"""Holds every answer against the OpenAPI description that its receiver gets: path, method, status, type, schema."""
import json

import jsonschema


def templates(description):
    """Paths with fewer parameters first: /companies/board before /companies/{id}."""
    return sorted(description["paths"], key=lambda path: (path.count("{"), path))


class Described:
    def __init__(self, description):
        self.description = description
        self.paths = [(pattern.split("/"), pattern) for pattern in templates(description)]
        self.resolver = jsonschema.RefResolver("", description)
        self.validators = {}

    def find(self, path):
        parts = path.split("/")
        for wanted, pattern in self.paths:
            if len(wanted) == len(parts) and all(a == b or (a.startswith("{") and b) for a, b in zip(wanted, parts)):
                return pattern
        return None

    def check(self, method, path, answer):
        kind = answer.headers.get("Content-Type", "").split(";")[0]
        pattern = self.find(path)
        operation = self.description["paths"].get(pattern, {}).get(method.lower())
        if operation is None:
            # Not for this caller, or nothing at all: then only a problem may come back (HEAD goes with GET, OPTIONS with anything).
            if method in ("HEAD", "OPTIONS"):
                return
            assert answer.status >= 400 and kind == "application/problem+json", f"{method} {path} → {answer.status} is not described"
            self.validate("#/components/schemas/api.problem", {"$ref": "#/components/schemas/api.problem"}, answer)
            return
        responses = operation["responses"]
        status = str(answer.status)
        assert status in responses or (answer.status >= 400 and "default" in responses) or set(responses) == {"default"}, \
            f"{method} {pattern} → {status} is not described"
        key = status if status in responses else "default"
        response = responses[key]
        if "$ref" in response:
            response = self.resolver.resolve(response["$ref"])[1]
        if not answer.body:
            assert not kind.endswith("/json") or answer.status in (201, 204, 304), f"{method} {pattern} → {status} has a type but no body"
            return
        content = response.get("content", {})
        assert kind in content or "*/*" in content, f"{method} {pattern} → {status} as {kind} is not described"
        if "json" in kind and "ndjson" not in kind and kind in content:
            self.validate(f"{method} {pattern} {key} {kind}", content[kind]["schema"], answer)

    def validate(self, name, schema, answer):
        if name not in self.validators:
            self.validators[name] = jsonschema.Draft202012Validator(schema, resolver=self.resolver,
                                                                    format_checker=jsonschema.FormatChecker(["date"]))
        self.validators[name].validate(json.loads(answer.body))
