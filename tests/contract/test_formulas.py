"""Every formula of docs/methodology.md is written once, in dbt/macros/formulas.sql."""

from __future__ import annotations

import re

import pytest

from pipelines.common.settings import PROJECT

FORMULAS = (PROJECT / "dbt" / "macros" / "formulas.sql").read_text(encoding="utf-8")
NAMED = [
    "cash_3m_spread", "basis_ann", "full_carry", "contango_share_of_full_carry", "carry_tightness", "conv_yield_ann",
    "live_t", "cancelled_ratio", "stock_days", "stock_log_chg", "visible_t", "yoy", "import_arb", "semis_export_arb",
    "power_cost", "cash_cost", "smelter_margin", "breakeven_power", "share_beyond", "cap_utilisation", "near_high",
    "days_to_event", "supply_stress", "ln_stock_days", "scarcity_fitted", "scarcity_residual",
]  # fmt: skip
# Models, and the macros that are parts of models.
FOLDERS = ("models", "macros/metrics", "macros/steps")
MODELS = sorted(path for folder in FOLDERS for path in (PROJECT / "dbt" / folder).rglob("*.sql"))


@pytest.mark.parametrize("name", NAMED)
def test_a_formula_is_written_once_and_used(name: str) -> None:
    assert len(re.findall(rf"{{%-? macro {name}\(", FORMULAS)) == 1
    users = [path.stem for path in MODELS if re.search(rf"\b{name}\(", path.read_text(encoding="utf-8"))]
    assert users, f"no model calls {name}"


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_no_model_computes_beside_the_formulas(path: object) -> None:
    """Models contain no days of a year, logarithms, relative changes or rates: these belong in formulas.sql."""
    text = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    found = re.findall(r"365\b|\bln\(|\) - 1 as \w*yoy|\* ?1000\b|\(1 \+ \w*vat\)", text)
    assert found == []
