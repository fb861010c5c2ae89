"""The tables of the evaluation: columns and keys. They are written by the evaluation, not by dbt."""

from __future__ import annotations

from typing import Final

from schemas.base import Mart, Table, field

# In the order in which the theory of storage predicts them: spread, stock and volatility first, price last.
OUTCOMES: Final = ("d_spread", "d_ln_stock", "realised_vol", "max_drawdown", "fwd_m3_log_return")
BINS: Final = ("0.0-0.2", "0.2-0.4", "0.4-0.6", "0.6-0.8", "0.8-1.0")  # of a score; the upper end is in the last one
BENCHMARKS: Final = {
    "BENCH.CONSTANT": ("ON",),
    "BENCH.MOM_252": ("UP", "DOWN"),
    "BENCH.BACKWARDATION": ("ON", "OFF"),
    "BENCH.MARKOV": ("LOOSE", "NEUTRAL", "TIGHT", "SQUEEZE"),
}
BENCHMARK_VERSION: Final = "1.0.0"


class EvalSignal(Table):
    """Tests of what followed each signal, from what was known at the time."""

    __columns__ = (
        "signal_id signal_version metal bucket outcome horizon_obs split basis_subset entry_lag n n_all episodes n_eff "
        "mean? mean_all? diff? hac_se? hac_lags ci_low? ci_high? hit_rate? hit_low? hit_high? base_rate? mde? "
        "placebo_p? placebo_shifts p_adj? n_variants is_lag0_only verdict registered_on code_version seed"
    )
    signal_id = field("Identifier of the signal, or BENCH. and the name of a benchmark")
    n = field("Decision dates in the bucket with an outcome", "count", ge=0, le=None)
    placebo_p = field(
        "Share of the circular shifts of the bucket whose difference is at least as large, the actual one included"
    )


class EvalSummary(Table):
    """The evaluation of each signal in one row: its primary test out of sample, its verdicts and a sentence."""

    __columns__ = (
        "signal_id signal_version metal as_of_date bucket outcome horizon_obs verdict n episodes n_eff mean? mean_all? "
        "diff? mde? placebo_p? p_adj? n_variants verdict_d_spread? verdict_d_ln_stock? verdict_realised_vol? "
        "verdict_max_drawdown? verdict_fwd_m3_log_return? beats_constant_p? beats_mom_252_p? beats_backwardation_p? "
        "beats_markov_p? sentence registered_on code_version seed"
    )
    signal_id = field("Identifier of the signal, or BENCH. and the name of a benchmark")
    as_of_date = field("Latest decision day of the evaluation")
    bucket = field("Bucket of the primary test")
    n = field("Decision dates in the bucket with an outcome", "count", ge=0, le=None)


EVALUATION: dict[str, Mart] = {
    "eval_signal": Mart(
        EvalSignal, "signals", cadence="on-change",
        key=(
            "signal_id", "signal_version", "metal", "bucket", "outcome", "horizon_obs", "split", "basis_subset",
            "entry_lag",
        ),
    ),
    "eval_summary": Mart(
        EvalSummary, "signals", cadence="on-change", key=("signal_id", "signal_version", "metal"),
    ),
}  # fmt: skip
