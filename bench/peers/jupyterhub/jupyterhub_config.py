"""A hub that is asked for its users and starts nobody's server, as fast as its settings make it."""

import os
from pathlib import Path

from jupyterhub.proxy import Proxy


class NoProxy(Proxy):
    """The hub is asked at its own port, so its proxy has nothing to do and is not there: one more
    step on the way would make it slower."""

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
# Its default, in the hub's own process: a database server would add a way there and back.
c.JupyterHub.db_url = f"sqlite:///{folder / 'jupyterhub.sqlite'}"
c.JupyterHub.authenticator_class = "dummy"
# One line for each request is written at the level below.
c.JupyterHub.log_level = "WARN"

c.JupyterHub.services = [
    {"name": "filler", "api_token": os.environ["HUB_FILLER_TOKEN"]},
    {"name": "reader", "api_token": os.environ["HUB_READER_TOKEN"]},
]
c.JupyterHub.load_roles = [
    {"name": "filler", "services": ["filler"], "scopes": ["admin:users"]},
    {"name": "reader", "services": ["reader"], "scopes": ["read:users"]},
]
# They are random. Else the hub would hash them 16,384 times on every request.
c.JupyterHub.trust_user_provided_tokens = True
