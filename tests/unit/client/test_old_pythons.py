"""What only a Python before 3.13 would refuse, found without one."""

from dataclasses import is_dataclass
from importlib import import_module
from inspect import getmembers, isclass
from pkgutil import walk_packages
from typing import Generic

import convergence.rpc


def test_generic_frozen_dataclasses_have_no_slots() -> None:
    """`Kind[Item](...)` sets an attribute on the instance; with slots, a frozen dataclass answers with a TypeError before 3.13."""
    names = [module.name for module in walk_packages(convergence.rpc.__path__, "convergence.rpc.")]
    kinds = {
        kind for name in names for _, kind in getmembers(import_module(name), isclass) if Generic in kind.__mro__ and is_dataclass(kind)
    }
    frozen = [kind for kind in kinds if kind.__dataclass_params__.frozen]  # type: ignore[attr-defined]  # typeshed does not show it
    assert frozen
    assert [kind.__name__ for kind in frozen if "__slots__" in vars(kind)] == []
