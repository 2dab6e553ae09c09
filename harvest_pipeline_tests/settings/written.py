"""What a `harvest.yaml` of a test says, or how it is refused."""

from pathlib import Path

import pytest

from harvest_pipeline.settings import Project, SettingsError, load_project


def project_of(folder: Path, text: str, **variables: str) -> Project:
    """The project of a file with this text, and of these variables."""
    file = folder / "harvest.yaml"
    file.write_text(text)
    return load_project({"HARVEST_CONFIG": str(file), **variables})


def refusal_of(folder: Path, text: str) -> str:
    """What is said of the file, without its path."""
    with pytest.raises(SettingsError) as refused:
        project_of(folder, text)
    assert "\n" not in refused.value.message
    return refused.value.message.removeprefix(f"{folder / 'harvest.yaml'}, ")
