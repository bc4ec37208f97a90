"""A hub that answers requests for its users and starts no servers, configured for speed."""

import os
from pathlib import Path

from jupyterhub.proxy import Proxy


class NoProxy(Proxy):
    """Replaces the proxy, which is not needed: requests go to the hub's own port."""

    should_start = False

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.routes: dict[str, dict[str, object]] = {}

    async def add_route(self, routespec: str, target: str, data: dict[str, object]) -> None:
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec: str) -> None:
        self.routes.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, dict[str, object]]:
        return self.routes


folder = Path(os.environ["HUB_FOLDER"])

c = get_config()  # noqa: F821
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{os.environ['HUB_PORT']}"
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.cookie_secret_file = str(folder / "cookie_secret")
# The default, in the hub's process: a database server would add a round trip.
c.JupyterHub.db_url = f"sqlite:///{folder / 'jupyterhub.sqlite'}"
c.JupyterHub.authenticator_class = "dummy"
# The level below writes a line per request.
c.JupyterHub.log_level = "WARN"

c.JupyterHub.services = [
    {"name": "filler", "api_token": os.environ["HUB_FILLER_TOKEN"]},
    {"name": "reader", "api_token": os.environ["HUB_READER_TOKEN"]},
]
c.JupyterHub.load_roles = [
    {"name": "filler", "services": ["filler"], "scopes": ["admin:users"]},
    {"name": "reader", "services": ["reader"], "scopes": ["read:users"]},
]
# The tokens are random. Without this, the hub hashes them 16,384 times on every request.
c.JupyterHub.trust_user_provided_tokens = True
