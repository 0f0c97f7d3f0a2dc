"""`GET /metrics` in the text format of Prometheus, for operators only."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import accumulate

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.core.metrics import Reading, Spread

Numbers = Callable[[], Awaitable[Sequence[Reading | Spread]]]


def metrics_route(numbers: Numbers, token: str, worker: int = 0) -> web.RouteDef:
    """`GET /metrics`: the node's numbers.

    They tell of all apps, so that no tenant may see them: only who bears the `token` does (`Authorization: Bearer …`),
    and nobody where there is none. That a request comes from this machine says nothing, for a proxy is there too. Where
    several workers share the port, each tells its own numbers, labelled with its number.
    """
    labels = {"worker": str(worker)} if worker else {}
    about_process = CollectorRegistry()
    ProcessCollector(registry=about_process)
    PlatformCollector(registry=about_process)
    GCCollector(registry=about_process)

    async def metrics(request: web.Request) -> web.Response:
        refusal = _refusal(request, token)
        if refusal is not None:
            return refusal
        registry = CollectorRegistry()
        registry.register(_Told([*(_family(number, labels) for number in await numbers())]))
        text = generate_latest(registry) + generate_latest(about_process)
        headers = {hdrs.CONTENT_TYPE: CONTENT_TYPE_PLAIN_0_0_4, hdrs.CACHE_CONTROL: "no-store"}
        return web.Response(body=text, headers=headers)

    return web.get("/metrics", metrics, allow_head=False)


def _refusal(request: web.Request, token: str) -> web.Response | None:
    if not token:
        return web.Response(status=403, text="metrics are told to who bears metrics.token, and none is set\n")
    given = request.headers.get(hdrs.AUTHORIZATION, "").encode(errors="surrogateescape")
    if hmac.compare_digest(given, f"Bearer {token}".encode()):
        return None
    return web.Response(status=401, text="metrics want their token\n", headers={"WWW-Authenticate": "Bearer"})


class _Told(Collector):
    """Numbers that were read already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _family(number: Reading | Spread, labels: dict[str, str]) -> Metric:
    names, values = list(labels), list(labels.values())
    if isinstance(number, Spread):
        histogram = HistogramMetricFamily(number.name, number.about, labels=names)
        spread = number.distribution
        bounds = (*map(str, spread.bounds), "+Inf")
        buckets = list(zip(bounds, accumulate(map(float, spread.counts)), strict=True))
        histogram.add_metric(values, buckets, spread.total)
        return histogram
    if number.label:
        names.append(number.label)
    make = CounterMetricFamily if number.kind == "counter" else GaugeMetricFamily
    family = make(number.name, number.about, labels=names)
    for label, value in number.values.items():
        family.add_metric([*values, label] if number.label else values, value)
    return family
