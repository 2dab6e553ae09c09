"""Everything that Dagster's web server tells about a project."""

import gzip
from collections.abc import Iterator
from typing import Any

import requests

from harvest_pipeline_tests.cli.ui.conftest import REPOSITORY, Dev
from harvest_pipeline_tests.waiting import PATIENCE

_METADATA = """
metadataEntries { label description
  ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr }
  ... on JsonMetadataEntry { jsonString } ... on UrlMetadataEntry { url }
  ... on PathMetadataEntry { path } ... on TableMetadataEntry { table { records } } }
"""
_OF_PROJECT = {
    "resource pages": """
query($repository: RepositorySelector!) {
  allTopLevelResourceDetailsOrError(repositorySelector: $repository) {
    ... on ResourceDetailsList { results {
      name description resourceType
      configFields { name description configTypeKey defaultValueAsJson }
      configuredValues { key value type } } } } }""",
    "launchpad": """
query($job: PipelineSelector!) {
  runConfigSchemaOrError(selector: $job) { ... on RunConfigSchema { rootDefaultYaml allConfigTypes {
    key description
    ... on CompositeConfigType { fields { name description defaultValueAsJson } } } } } }""",
    "runs": """
{ runsOrError { ... on Runs { results { runId status runConfigYaml tags { key value } } } } }""",
    "assets": f"""
{{ assetNodes {{ assetKey {{ path }} description configField {{ configType {{ key }} }} {_METADATA}
    assetMaterializations(limit: 100) {{ {_METADATA} }}
    assetChecksOrError {{ ... on AssetChecks {{ checks {{ name description
      executionForLatestMaterialization {{ evaluation {{ {_METADATA} }} }} }} }} }} }} }}""",
    "instance": """
{ instance { info runLauncher { name } daemonHealth { allDaemonStatuses {
    daemonType lastHeartbeatErrors { message stack } } } } }""",
    "locations": """
{ workspaceOrError { ... on Workspace { locationEntries { name displayMetadata { key value }
    locationOrLoadError { ... on PythonError { message stack } } } } } }""",
}
_OF_RUN = f"""
query($run: ID!) {{ logsForRun(runId: $run, limit: 1000) {{ ... on EventConnection {{ events {{
    ... on MessageEvent {{ message }}
    ... on ErrorEvent {{ error {{ message stack errorChain {{ error {{ message stack }} }} }} }}
    ... on DisplayableEvent {{ label description {_METADATA} }} }} }} }} }}"""
_PAGES = ("/", "/server_info", "/dagit_info", "/graphql", "/notebook?repoLocName=harvest")


def everything(dev: Dev, job: str) -> Iterator[tuple[str, bytes]]:
    """What it tells about the project, and about every run."""

    def get(path: str) -> bytes:
        return requests.get(f"{dev.url}{path}", timeout=PATIENCE).content

    told: dict[str, Any] = {}
    for name, query in _OF_PROJECT.items():
        selector = {**REPOSITORY, "pipelineName": job}
        told[name] = dev.ask(query, repository=REPOSITORY, job=selector)
        assert all(told[name].values()), name  # an error would be an empty object
        yield name, repr(told[name]).encode()
    for run in (each["runId"] for each in told["runs"]["runsOrError"]["results"]):
        yield f"events of {run}", repr(dev.ask(_OF_RUN, run=run)).encode()
        yield f"debug file of {run}", gzip.decompress(get(f"/download_debug/{run}"))
    for path in _PAGES:
        yield path, get(path)
