"""What the site takes from the folder above docs/: README.md is its first page."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ABOVE = {"README.md": "index.md", "CHANGELOG.md": "CHANGELOG.md", "LICENSE": "LICENSE"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the folder above, with links as they are from within docs/."""
    for name, place in ABOVE.items():
        text = (Path(config.docs_dir).parent / name).read_text("utf-8")
        files.append(File.generated(config, place, content=text.replace("](docs/", "](")))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links to these files, which are one folder higher in the repository."""
    for name, place in ABOVE.items():
        markdown = markdown.replace(f"](../{name}", f"]({place}")
    return markdown
