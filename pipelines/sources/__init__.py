"""The publishers that the project can read, by name. Parsers import their heavy libraries only when they parse."""

from __future__ import annotations

from typing import Final

from pipelines.sources.base import Source
from pipelines.sources.comtrade import Comtrade
from pipelines.sources.customs import Customs
from pipelines.sources.ecb import Ecb
from pipelines.sources.ember import Ember
from pipelines.sources.energy_charts import EnergyCharts
from pipelines.sources.entsoe import Entsoe
from pipelines.sources.fred import Fred
from pipelines.sources.jin10 import Jin10
from pipelines.sources.nyfed import NyFed
from pipelines.sources.shfe import Shfe
from pipelines.sources.smard import Smard
from pipelines.sources.westmetall import Westmetall
from pipelines.sources.worldbank import WorldBank
from pipelines.sources.yahoo import Yahoo

_ALL: tuple[Source, ...] = (
    Westmetall(),
    WorldBank(),
    NyFed(),
    Fred(),
    EnergyCharts(),
    Smard(),
    Entsoe(),
    Customs(),
    Comtrade(),
    Ecb(),
    Jin10(),
    Yahoo(),
    Ember(),
    Shfe(),
)
SOURCES: Final[dict[str, Source]] = {source.NAME: source for source in _ALL}
