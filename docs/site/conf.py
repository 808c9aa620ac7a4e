"""How Sphinx makes a site of the pages that there are (`make site`). The code is read for it, and never imported."""

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "convscope"
html_title = project
html_theme = "furo"
templates_path = ["templates"]
extensions = ["myst_parser", "autoapi.extension", "sphinxcontrib.openapi"]

# The repository's root is the source, so that links between the README and docs lead to the same places as there.
root_doc = "docs/site/index"
include_patterns = ["*.md", "docs/**.md", "build/site-source/**"]
html_additional_pages = {"index": "redirect.html"}

myst_heading_anchors = 3
openapi_default_renderer = "httpdomain"
# Docstrings are Markdown: what stands between single backticks is code.
default_role = "code"

autoapi_dirs = ["service", "schemas"]
autoapi_root = "build/site-source/api"
autoapi_add_toctree_entry = False
autoapi_options = ["members", "show-module-summary"]
autoapi_member_order = "bysource"


def setup(app: Sphinx) -> None:
    # Drawings stay text: nothing on these pages comes from another host.
    app.add_lexer("mermaid", TextLexer)
