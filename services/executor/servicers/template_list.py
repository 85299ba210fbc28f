"""The answer of ListTemplates, which is large, and the same until a template changes."""

from collections.abc import Mapping

from convergence.executor.v1 import pipeline_service_pb2 as messages

from services.executor.servicers.to_proto import to_template
from services.executor.templates.name import PipelineName
from services.executor.templates.template import Template


class TemplateList:
    """Keeps the last answer."""

    def __init__(self) -> None:
        self._of: Mapping[PipelineName, Template] | None = None
        self._answer = messages.ListTemplatesResponse()

    def answer(self, templates: Mapping[PipelineName, Template]) -> messages.ListTemplatesResponse:
        """All of them, ordered by name. Shared by all calls: not to be changed."""
        # A catalog that is read again is another mapping; it is never changed in place.
        if templates is not self._of:
            listed = [to_template(templates[name]) for name in sorted(templates)]
            self._of, self._answer = templates, messages.ListTemplatesResponse(templates=listed)
        return self._answer
