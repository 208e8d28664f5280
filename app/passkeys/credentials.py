"""Credentials as browsers write them by `toJSON()` (WebAuthn Level 3 section 5.1)."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from app.core.crypto import b64decode


def _base64url(value: str) -> str:
    if not value.isascii() or b64decode(value) is None:
        raise PydanticCustomError("base64url", "Must be base64url without padding")
    return value


Bytes = Annotated[str, Field(min_length=1, max_length=32_768), AfterValidator(_base64url)]
CredentialId = Annotated[str, Field(min_length=1, max_length=1364), AfterValidator(_base64url)]
ReachedBy = Annotated[str, Field(max_length=32)]


class FromBrowser(BaseModel):
    """What a browser says beyond what we know is left aside: later ones will say more."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)


class CredentialProperties(FromBrowser):
    """`credProps`: whether it can be found without a username."""

    rk: bool | None = None


class ExtensionResults(FromBrowser):
    """What the browser itself says of the credential; nobody signed it."""

    credProps: CredentialProperties | None = None  # noqa: N815 -- the standard's name


class CreatedResponse(FromBrowser):
    """What the authenticator made."""

    clientDataJSON: Bytes  # noqa: N815 -- the standard's name
    attestationObject: Bytes  # noqa: N815 -- the standard's name
    transports: list[ReachedBy] = Field(default_factory=list, max_length=16)


class CreatedCredential(FromBrowser):
    """RegistrationResponseJSON."""

    id: CredentialId
    rawId: CredentialId  # noqa: N815 -- the standard's name
    type: Literal["public-key"]
    response: CreatedResponse
    clientExtensionResults: ExtensionResults = Field(default_factory=ExtensionResults)  # noqa: N815 -- the standard's name


class AssertedResponse(FromBrowser):
    """What the authenticator signed."""

    clientDataJSON: Bytes  # noqa: N815 -- the standard's name
    authenticatorData: Bytes  # noqa: N815 -- the standard's name
    signature: Bytes
    userHandle: Bytes | None = None  # noqa: N815 -- the standard's name


class AssertedCredential(FromBrowser):
    """AuthenticationResponseJSON."""

    id: CredentialId
    rawId: CredentialId  # noqa: N815 -- the standard's name
    type: Literal["public-key"]
    response: AssertedResponse
