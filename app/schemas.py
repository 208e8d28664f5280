"""Every wire schema, for clients and for tests."""

from app.auth.schemas import LoginIn, LoginOut, LogoutIn, ProofOut, ReauthenticateIn, RefreshIn, RegisterIn, SessionOut, TokensOut
from app.core.problems import FieldProblem, Problem
from app.health.schemas import HealthOut, LiveOut, ReadyOut
from app.mail.schemas import DevMailOut
from app.passwords.schemas import AcceptedOut, ChangePasswordIn, ForgotPasswordIn, ResetPasswordIn
from app.users.schemas import RoleIn, StatusIn, UserDetailOut, UserOut, UserPageOut

__all__ = [
    "AcceptedOut",
    "ChangePasswordIn",
    "DevMailOut",
    "FieldProblem",
    "ForgotPasswordIn",
    "HealthOut",
    "LiveOut",
    "LoginIn",
    "LoginOut",
    "LogoutIn",
    "Problem",
    "ProofOut",
    "ReadyOut",
    "ReauthenticateIn",
    "RefreshIn",
    "RegisterIn",
    "ResetPasswordIn",
    "RoleIn",
    "SessionOut",
    "StatusIn",
    "TokensOut",
    "UserDetailOut",
    "UserOut",
    "UserPageOut",
]
