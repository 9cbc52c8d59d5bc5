"""The site fetches nothing: a page that loads a script, style or picture from elsewhere fails the build."""

from __future__ import annotations

import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

FETCHED = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?((?:https?:)?//[^\s\"'>]+)"
)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Raises PluginError, which ends the build, naming the page and the address."""
    if found := FETCHED.search(output):
        raise PluginError(f"{page.file.src_uri} fetches {found[1]}: ship it with the site")
    return output
