"""Local web pages: access checks, client limits, and start and stop. Requires the extra ``studio``."""

from impasto.server._access import Access
from impasto.server._app import secured, static_routes
from impasto.server._limits import Limits
from impasto.server._live import Page
from impasto.server._service import Service

__all__ = ["Access", "Limits", "Page", "Service", "secured", "static_routes"]
