"""What `after-restore` does."""

from app.audit import service as audit
from app.audit.chain import AuditKeys
from app.audit.facts import Fact
from app.audit.heads import Sinks
from app.audit.sealing import hold_chain, sign_head
from app.auth import sessions
from app.auth.devices import KIND as NEW_DEVICE_MAIL
from app.core.caller import operator
from app.core.server import Server
from app.invitations.service import KIND as INVITATION_MAIL
from app.jobs import service as jobs
from app.magiclinks.service import KIND as MAGIC_MAIL
from app.mfa import service as mfa
from app.passkeys import service as passkeys
from app.passwords.service import KIND as RESET_MAIL
from app.tickets import service as tickets
from app.verification.mails import KINDS as VERIFICATION_MAILS


async def make_true(server: Server) -> tuple[int, int]:
    """End every session, void every link and recovery code; how many there were of the former two."""
    now = server.clock()
    async with server.database.write() as db:
        ended = await sessions.end_everything(db, now)
        voided = await tickets.void_all(db, now)
        await mfa.void_everything(db, now)
        await passkeys.void_everything(db)
        await jobs.forget(db, RESET_MAIL, MAGIC_MAIL, NEW_DEVICE_MAIL, INVITATION_MAIL, *VERIFICATION_MAILS)
        chain = await hold_chain(db)
        head = await sign_head(db, server.kit(AuditKeys), "restored", chain, now)
        await audit.record(db, Fact.RESTORED, operator(now).client, now, sessions=ended, tickets=voided, position=chain.position)
    await server.kit(Sinks).tell(head)
    return ended, voided
