"""HTTP to the very addresses that were judged, so that a name that changes in between leads nowhere else."""

import ssl
from typing import Final

import anyio.to_thread
import httpx2

from service.egress.destinations import Destinations, LookupFailedError

# Of a name with many addresses no more are tried.
_MAX_TRIED: Final = 3


class JudgedTransport(httpx2.AsyncBaseTransport):
    """Looks the host up, has its addresses judged, and connects to one of them; TLS is held to the host's name.

    No proxy of the environment is asked, and no connection is kept: addresses are judged for each request.
    """

    def __init__(self, destinations: Destinations, context: ssl.SSLContext) -> None:
        self._destinations = destinations
        self._transport = httpx2.AsyncHTTPTransport(
            verify=context, trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2. Raises AddressRefusedError; httpx2.ConnectError also where the name cannot be looked up."""
        name = request.url
        try:
            # A resolver that does not answer is left behind: its thread ends by itself.
            addresses = await anyio.to_thread.run_sync(self._destinations.find, name, abandon_on_cancel=True)
        except LookupFailedError as error:
            raise httpx2.ConnectError(str(error), request=request) from error
        # The `Host` header has been made of the name already.
        request.extensions = {**request.extensions, "sni_hostname": name.host}
        for number, address in enumerate(addresses[:_MAX_TRIED], start=1):
            request.url = name.copy_with(host=str(address))
            try:
                return await self._transport.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if number == min(len(addresses), _MAX_TRIED):
                    raise
        raise AssertionError("a host has an address")

    async def aclose(self) -> None:
        """See httpx2."""
        await self._transport.aclose()


def open_client(destinations: Destinations, context: ssl.SSLContext, *, connect_seconds: float) -> httpx2.AsyncClient:
    """A client that asks judged addresses alone, follows no redirect, and has no cookies, proxies or `.netrc`."""
    return httpx2.AsyncClient(
        transport=JudgedTransport(destinations, context),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(None, connect=connect_seconds),
    )
