"""A form of the console as the body that the route of the same flow takes."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from app.core.errors import FieldError, Invalid

Model = TypeVar("Model", bound=BaseModel)


def read(model: type[Model], fields: Mapping[str, str], **more: object) -> Model:
    """The body.

    Raises:
        Invalid: a field is missing or breaks a rule.
    """
    given = {name: fields[name] for name in model.model_fields if fields.get(name)}
    try:
        return model.model_validate({**given, **more})
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        raise Invalid(errors=[FieldError(("body", *item["loc"]), str(item["type"]), "") for item in found]) from None
