"""The field registry: one meaning for each column name, with the differences of a model declared as such."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pandera.errors
import pytest

from schemas.base import Bitemporal, Dataset, Model, Table, Vintages, columns_of, field
from schemas.datasets import DATASETS
from schemas.evaluation import EVALUATION
from schemas.fields import FIELDS
from schemas.marts import MARTS
from schemas.reference import REFERENCE_TABLES
from schemas.signals import SIGNALS, SignalsWideDaily

MODELS: list[type[Model]] = [
    *(spec.model for spec in DATASETS.values()),
    Bitemporal,
    Vintages,
    *(mart.model for mart in (MARTS | SIGNALS | EVALUATION).values()),
    *REFERENCE_TABLES.values(),
]

# Names whose unit depends on the table.
UNITS = {
    "rate": {"ratio", "1/yr"},  # an exchange rate or a tax; an interest rate
    "n": {"days", "count"},  # of a release rule; dates of a sample
    "value": {"see unit", "see indicator", "see component", "index points"},
    "contribution": {"see unit", "index points"},
    "threshold": {"see unit", "see metric"},
    "threshold_high": {"see unit", "see metric"},
    "tolerance": {"see unit", "see metric"},
}


def columns() -> Iterator[tuple[type[Model], str, dict[str, Any]]]:
    for model in MODELS:
        for name, about in columns_of(model).items():
            if not (
                model is SignalsWideDaily and about["description"].startswith(("Value of", "Score of", "State of"))
            ):
                yield model, name, about


def test_a_name_has_one_unit_unless_listed_here() -> None:
    units = defaultdict(set)
    for _, name, about in columns():
        units[name].add(about["unit"])
    assert {name: found for name, found in units.items() if len(found) > 1} == UNITS


def test_a_name_has_one_type() -> None:
    kinds = defaultdict(set)
    for _, name, about in columns():
        kinds[name].add(str(about["dtype"]).lower().strip("0123456789").replace("boolean", "bool"))
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


def test_a_description_is_that_of_the_registry_or_an_override_that_differs() -> None:
    for model, name, about in columns():
        override = model.__overrides__.get(name)
        given = override.description if override else None
        assert about["description"] == (given or FIELDS[name].description), f"{model.__name__}.{name}"
        assert given != FIELDS[name].description, f"{model.__name__}.{name} repeats the registry: leave it out"


def test_every_entry_of_the_registry_is_a_column() -> None:
    assert set(FIELDS) == {name for _, name, _ in columns()}


def test_a_model_takes_a_column_from_the_registry_and_overrides_what_differs() -> None:
    class Own(Dataset):
        """One dataset."""

        __columns__ = "metal total_t? weight"
        weight = field("Weight of a bundle", "t", le=None)

    about = columns_of(Own)
    assert list(about) == ["metal", "total_t", "weight"]
    assert (about["total_t"]["nullable"], about["metal"]["nullable"]) == (True, False)
    assert (about["metal"]["description"], about["total_t"]["unit"]) == (FIELDS["metal"].description, "t")
    assert (about["weight"]["description"], about["weight"]["unit"]) == ("Weight of a bundle", "t")
    Own.validate(pd.DataFrame({"metal": ["AL"], "total_t": [None], "weight": [7.0]}))
    for column, value in {"metal": "Al", "total_t": -1.0, "weight": 0.0}.items():
        row = {"metal": ["AL"], "total_t": [1.0], "weight": [7.0]} | {column: [value]}
        with pytest.raises(pandera.errors.SchemaError, match=column):
            Own.validate(pd.DataFrame(row))


def test_limits_of_accepted_values_apply_to_datasets_only() -> None:
    class In(Dataset):
        """A dataset."""

        __columns__ = "cash_usd_t"

    class Out(Table):
        """A published table."""

        __columns__ = "cash_usd_t"

    high = pd.DataFrame({"cash_usd_t": [200_001.0]})
    Out.validate(high)
    with pytest.raises(pandera.errors.SchemaError):
        In.validate(high)
    for model in (In, Out):
        with pytest.raises(pandera.errors.SchemaError):
            model.validate(-high)


def test_a_name_without_an_entry_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Unknown\.cash_usd is not in schemas/fields\.py: add it there"):

        class Unknown(Model):
            __columns__ = "metal cash_usd"
