"""The settings: the project and its accounts from variables and `harvest.yaml`, datasets, and the
parameters of a run. Each is declared once; documents and options are generated from the models."""

from harvest_pipeline.settings.environment import (
    SettingsError,
    dotenv_path,
    load_environment,
    project_folder,
)
from harvest_pipeline.settings.load import load_project
from harvest_pipeline.settings.project import VARIABLES, Account, Project

__all__ = [
    "VARIABLES",
    "Account",
    "Project",
    "SettingsError",
    "dotenv_path",
    "load_environment",
    "load_project",
    "project_folder",
]
