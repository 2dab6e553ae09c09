"""The web application of a sandbox: API, identity host and doors on one port.

Belongs here: which routes there are and what becomes of errors. Does not belong here: answers.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from harvest_pipeline.sandbox.api import Api
from harvest_pipeline.sandbox.doors import Doors
from harvest_pipeline.sandbox.errors import ApiError, no_such_page
from harvest_pipeline.sandbox.front import Front, response_of
from harvest_pipeline.sandbox.identity import Identity
from harvest_pipeline.sandbox.world import World


def create_app(world: World) -> ASGIApp:
    """The ASGI application. Paths that Harvest does not have, and closed doors, are HTML 404s."""
    api = Api(world)
    routes = [*Identity(world).routes(), *api.routes("/v2"), *api.routes("/api/v2")]
    if world.options.doors:
        routes += Doors(world).routes()
    app = Starlette(
        routes=routes,
        exception_handlers={ApiError: _error, 404: _no_such_page, 405: _no_such_page},
    )
    app.router.redirect_slashes = False
    return Front(app, world)


async def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return response_of(error)


async def _no_such_page(request: Request, error: Exception) -> Response:
    return response_of(no_such_page())
