"""Who may speak to the service at all, by what a connection and a request's head say. Knows no route but the probes."""

from typing import Final

# They are asked by address, by what knows neither names nor origins: kubelet, Prometheus, a load balancer.
PROBES: Final = frozenset({"/livez", "/readyz"})
EXEMPT: Final = PROBES | {"/metrics"}
