"""The body of a RunPipeline call as a JSON Schema (draft 2020-12), from the template's parameters. A form can be built from it.

The schema accepts the same bodies as `Template.values_of`, `period_of` and `check_days`, except for rules that a schema cannot express. The
call checks these itself:
  - a range is in order and not too long;
  - no day is in the future;
  - uncommon characters are printable.
The call takes `null` for a key that is left out; the schema does not offer it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from services.executor.templates import months
from services.executor.templates.parameters import DATE_WORDS, INTEGERS, MONTH_WORDS, STRING_LENGTH, YEARS, ParameterSpec, ParameterType
from services.executor.templates.period import DAY, DAYS, RANGE, TODAY
from services.executor.templates.template import Template
from services.platform.identifiers import EMAIL, EXPORT, TABLE

type JsonSchema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_YEAR = f"{YEARS.start // 100}[0-9]{{2}}"
_MONTH = f"^{_YEAR}-(0[1-9]|1[0-2])$"
_DATE = f"^{_YEAR}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
_PRINTABLE = r"^[^\u0000-\u001f\u007f-\u00a0\u00ad\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*$"
"""Excludes characters that often get into a text unseen: control characters, unusual spaces, marks of text direction."""
_FORMS: dict[tuple[str, ...], str] = {(DAY,): "One day", RANGE: "Each day of a range", (DAYS,): "The days that have changed"}
_MONTH_FORMS: dict[tuple[str, ...], str] = {
    (months.MONTH,): "One billing period",
    (months.MONTHS,): "The billing periods that may still change",
}


def body_schema(template: Template) -> JsonSchema:
    """The schema of a call's body: an object with the template's parameters as `properties`, and no others. `default`: the value for a call
    that gives none. `oneOf` lists the ways to name the days or billing periods of the run, e.g. `date`, or `start_date` and `end_date`.
    """
    specs = {spec.name: spec for spec in template.parameters}
    forms = _forms(template)
    alternative = {name for form in forms for name in form}
    schema: JsonSchema = {
        "$schema": DIALECT,
        "title": template.name.path,
        "description": template.description,
        "type": "object",
        "properties": {name: _property(template, spec) for name, spec in specs.items()},
        "additionalProperties": False,
    }
    if required := [spec.name for spec in specs.values() if spec.required and spec.name not in alternative]:
        schema["required"] = required
    if forms:
        schema["oneOf"] = list(_one_of(forms, specs))
        # With oneOf alone, half of a range would pass together with another complete form.
        schema["dependentRequired"] = {name: [one for one in form if one != name] for form in forms if len(form) > 1 for name in form}
    return schema


def _forms(template: Template) -> dict[tuple[str, ...], str]:
    """The groups of parameters of which a call must give exactly one, completely."""
    declared = {spec.name for spec in template.parameters}
    forms: dict[tuple[str, ...], str] = _FORMS if template.covers_days else _MONTH_FORMS if template.covers_months else {}
    return {form: title for form, title in forms.items() if declared.issuperset(form)}


def _one_of(forms: Mapping[tuple[str, ...], str], specs: Mapping[str, ParameterSpec]) -> Iterator[JsonSchema]:
    for form, title in forms.items():
        yield {"title": title, "required": list(form)}
    names = [name for form in forms for name in form]
    filled = {name for name in names if specs[name].default is not None}
    # No name is filled in by its default unless all are left out, see `unfilled` of `period` and `months`.
    if any(filled == set(form) for form in forms) and not any(specs[name].required for name in names):
        given = ", ".join(f"{name}: {specs[name].default}" for name in names if name in filled)
        yield {"title": f"The default, {given}", "properties": dict.fromkeys(names, False)}


def _property(template: Template, spec: ParameterSpec) -> JsonSchema:
    """One parameter. Its values are JSON's; words such as `yesterday` stand beside the dates that they can replace."""
    found: JsonSchema = {**_type(template, spec), "description": spec.description}
    if spec.default is not None:
        found["default"] = spec.default
    return found


def _type(template: Template, spec: ParameterSpec) -> JsonSchema:
    match spec.type:
        case ParameterType.DATE:
            of_the_run = template.covers_days and spec.name in {DAY, *RANGE}
            words = [word for word in DATE_WORDS if not (of_the_run and word == TODAY)]
            found: JsonSchema = {"type": "string", "anyOf": [{"format": "date", "pattern": _DATE}, {"enum": words}]}
        case ParameterType.MONTH:
            found = {"type": "string", "anyOf": [{"pattern": _MONTH}, {"enum": list(MONTH_WORDS)}]}
        case ParameterType.INTEGER:
            least, most = spec.range or (INTEGERS.start, INTEGERS.stop - 1)
            found = {"type": "integer", "minimum": least, "maximum": most}
        case ParameterType.BOOLEAN:
            found = {"type": "boolean"}
        case ParameterType.CHOICE:
            found = {"type": "string", "enum": list(spec.choices)}
        case ParameterType.STRING | ParameterType.TABLE | ParameterType.EXPORT | ParameterType.EMAIL:
            found = {"type": "string", "minLength": 1, "maxLength": STRING_LENGTH, "pattern": _pattern(template, spec.type)}
    return found


def _pattern(template: Template, kind: ParameterType) -> str:
    match kind:
        case ParameterType.TABLE:
            return _portable(TABLE)
        case ParameterType.EXPORT:
            return _portable(EXPORT, before=_cloud(template.name.provider))
        case ParameterType.EMAIL:
            return _portable(EMAIL)
        case _:
            return _PRINTABLE


def _cloud(provider: str) -> str:
    """The prefix of an export's location in the pipeline's cloud, as a regular expression's look-ahead. See `months.check_export`."""
    if provider not in months.LOCATIONS:
        return ""
    return f"(?={months.S3})" if provider == "aws" else f"(?!{months.S3})"


def _portable(pattern: re.Pattern[str], *, before: str = "") -> str:
    """The same pattern for a whole text, in the syntax that JavaScript (ECMA-262) and Python have in common."""
    return f"^{before}(?:{re.sub(r'[(][?]P<[a-z]+>', '(?:', pattern.pattern).replace(r'\Z', '$')})$"
