"""Everything that Dagster's web server tells about a project.

Belongs here: the questions, and asking them all. Does not belong here: what must not be in the
answers (test_leaks.py).
"""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from harvest_pipeline_tests.waiting import PATIENCE

_REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "harvest"}
_METADATA = """
metadataEntries { label description
  ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr }
  ... on JsonMetadataEntry { jsonString } ... on UrlMetadataEntry { url }
  ... on PathMetadataEntry { path } ... on TableMetadataEntry { table { records } } }
"""
_ERROR = "error { message stack errorChain { error { message stack } } }"
_OF_PROJECT = {
    "resource pages": """
query($repository: RepositorySelector!) {
  allTopLevelResourceDetailsOrError(repositorySelector: $repository) {
    __typename
    ... on ResourceDetailsList { results {
      name description resourceType
      configFields { name description configTypeKey defaultValueAsJson }
      configuredValues { key value type } } } } }""",
    "launchpad": """
query($job: PipelineSelector!) {
  runConfigSchemaOrError(selector: $job) {
    __typename
    ... on RunConfigSchema { rootDefaultYaml allConfigTypes {
      key description
      ... on CompositeConfigType { fields { name description defaultValueAsJson } } } } } }""",
    "run config": """
{ runsOrError { __typename ... on Runs { results {
    runId status runConfigYaml tags { key value } } } } }""",
    "assets": f"""
{{ assetNodes {{ assetKey {{ path }} description configField {{ configType {{ key }} }} {_METADATA}
    assetMaterializations(limit: 100) {{ {_METADATA} }} }} }}""",
    "checks": f"""
{{ assetNodes {{ assetChecksOrError {{ __typename ... on AssetChecks {{ checks {{
    name description executionForLatestMaterialization {{ evaluation {{ {_METADATA} }} }}
}} }} }} }} }}""",
    "instance": """
{ instance { info hasInfo runLauncher { name } daemonHealth { allDaemonStatuses {
    daemonType lastHeartbeatErrors { message stack } } } } }""",
    "locations": """
{ workspaceOrError { __typename ... on Workspace { locationEntries {
    name displayMetadata { key value }
    locationOrLoadError { __typename ... on PythonError { message stack } } } } } }""",
}
_OF_RUN = f"""
query($run: ID!) {{ logsForRun(runId: $run, limit: 1000) {{
  __typename
  ... on EventConnection {{ events {{
    __typename
    ... on MessageEvent {{ message }}
    ... on ErrorEvent {{ {_ERROR} }}
    ... on DisplayableEvent {{ label description {_METADATA} }} }} }} }} }}"""
_LAUNCH = """
mutation($job: JobOrPipelineSelector!, $config: RunConfigData!) {
  launchRun(executionParams: {selector: $job, runConfigData: $config}) {
    __typename ... on LaunchRunSuccess { run { runId } } } }"""
_TERMINATE = "mutation($run: String!) { terminateRun(runId: $run) { __typename } }"
_STATUS = "query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


class WebServer:
    """The web server of a running `harvest-pipeline dev`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, query: str, **variables: Any) -> tuple[Any, bytes]:
        """The data of a GraphQL answer, and the answer as it came."""
        answer = requests.post(
            f"{self._url}/graphql", json={"query": query, "variables": variables}, timeout=PATIENCE
        )
        content = answer.json()
        assert "errors" not in content, content
        return content["data"], answer.content

    def launch(self, account: str, *reports: str, config: dict[str, Any] | None = None) -> str:
        """Materialize reports without days as the launchpad does; the id of the run."""
        assets = [{"path": [account, report]} for report in reports]
        selector = {**_REPOSITORY, "jobName": "__ASSET_JOB", "assetSelection": assets}
        data, _ = self.ask(_LAUNCH, job=selector, config=config or {})
        return data["launchRun"]["run"]["runId"]

    def terminate(self, run: str) -> None:
        self.ask(_TERMINATE, run=run)

    def status(self, run: str) -> str:
        data, _ = self.ask(_STATUS, run=run)
        return data["runOrError"]["status"]

    def everything(self, job: str, home: Path) -> Iterator[tuple[str, bytes]]:
        """What it tells about the project, and about every run in its home."""
        runs: list[str] = []
        for name, query in _OF_PROJECT.items():
            selector = {**_REPOSITORY, "pipelineName": job}
            data, content = self.ask(query, repository=_REPOSITORY, job=selector)
            (told,) = data.values()
            assert "Error" not in str(told.get("__typename")) if isinstance(told, dict) else told
            yield name, content
            if name == "run config":
                runs = [run["runId"] for run in told["results"]]
        for run in runs:
            _, content = self.ask(_OF_RUN, run=run)
            yield f"events of {run}", content
            yield f"debug file of {run}", gzip.decompress(self._get(f"/download_debug/{run}"))
        for log in sorted((home / "storage").rglob("*.[oe][ur][tr]")):
            path = log.relative_to(home / "storage").with_suffix("")
            yield f"compute log {path}", self._get(f"/logs/{path}/{log.suffix[1:]}")
        for path in (
            "/",
            "/server_info",
            "/dagit_info",
            "/graphql",
            "/notebook?repoLocName=harvest",
        ):
            yield path, requests.get(f"{self._url}{path}", timeout=PATIENCE).content

    def _get(self, path: str) -> bytes:
        answer = requests.get(f"{self._url}{path}", timeout=PATIENCE)
        assert answer.ok, (path, answer.status_code)
        return answer.content
