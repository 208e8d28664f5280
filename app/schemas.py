"""Every wire schema, for clients and for tests."""

from app.auth.schemas import (
    EndSessionIn,
    LoginIn,
    LoginOut,
    LogoutIn,
    OwedOut,
    ProofOut,
    ReauthenticateIn,
    RefreshIn,
    RegisterIn,
    RegistrationOut,
    SessionOut,
    TokensOut,
)
from app.core.problems import FieldProblem, Problem
from app.health.schemas import HealthOut, LiveOut, ReadyOut
from app.invitations.schemas import AcceptInvitationIn, InvitationIn, InvitationOut, InvitationPageOut
from app.magiclinks.schemas import MagicLinkIn, MagicLinkOut, MagicSignInIn
from app.mail.schemas import DevMailOut
from app.passkeys.schemas import AddPasskeyIn
from app.passwords.schemas import AcceptedOut, ChangePasswordIn, ForgotPasswordIn, ResetPasswordIn
from app.privacy.schemas import ExportOut, LeavingOut
from app.users.schemas import ProfileIn, RoleIn, StatusIn, UserDetailOut, UserOut, UserPageOut
from app.verification.schemas import (
    ChangeEmailIn,
    ChangeEmailOut,
    EmailTokenIn,
    ResendIn,
    ResentOut,
    VerifiedOut,
    VerifyEmailIn,
)

__all__ = [
    "AcceptInvitationIn",
    "AcceptedOut",
    "AddPasskeyIn",
    "ChangeEmailIn",
    "ChangeEmailOut",
    "ChangePasswordIn",
    "DevMailOut",
    "EmailTokenIn",
    "EndSessionIn",
    "ExportOut",
    "FieldProblem",
    "ForgotPasswordIn",
    "HealthOut",
    "InvitationIn",
    "InvitationOut",
    "InvitationPageOut",
    "LeavingOut",
    "LiveOut",
    "LoginByPasskeyIn",
    "LoginIn",
    "LoginOptionsIn",
    "LoginOptionsOut",
    "LoginOut",
    "LogoutIn",
    "MagicLinkIn",
    "MagicLinkOut",
    "MagicSignInIn",
    "OptionsOut",
    "OwedOut",
    "PasskeyOut",
    "Problem",
    "ProfileIn",
    "ProofOut",
    "ReadyOut",
    "ReauthenticateIn",
    "RefreshIn",
    "RegisterIn",
    "RegistrationOut",
    "RenamePasskeyIn",
    "ResendIn",
    "ResentOut",
    "ResetPasswordIn",
    "RoleIn",
    "SessionOut",
    "StatusIn",
    "TokensOut",
    "UserDetailOut",
    "UserOut",
    "UserPageOut",
    "VerifiedOut",
    "VerifyEmailIn",
]
