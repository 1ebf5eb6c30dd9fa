from .cluster import FakeCluster as FakeCluster
from .errors import InputError as InputError
from .errors import Unseen as Unseen
from .faults.answers import Answer as Answer
from .faults.answers import End as End
from .faults.answers import continue_first as continue_first
from .faults.broken_answers import ContentLengthOff as ContentLengthOff
from .faults.broken_answers import Drip as Drip
from .faults.broken_answers import EndlessHead as EndlessHead
from .faults.broken_answers import Flood as Flood
from .faults.broken_answers import HeadThenSilence as HeadThenSilence
from .faults.broken_answers import Held as Held
from .faults.broken_answers import UnfinishedChunks as UnfinishedChunks
from .faults.events import (
    Event as Event,
)
from .faults.events import (
    EventStream as EventStream,
)
from .faults.events import (
    failure_events as failure_events,
)
from .faults.events import (
    success_events as success_events,
)
from .faults.kinds import (
    AnswerEarly as AnswerEarly,
)
from .faults.kinds import (
    Bandwidth as Bandwidth,
)
from .faults.kinds import (
    CertificateFlaw as CertificateFlaw,
)
from .faults.kinds import (
    ClientCertificateRequired as ClientCertificateRequired,
)
from .faults.kinds import (
    CloseInHandshake as CloseInHandshake,
)
from .faults.kinds import (
    CloseWithoutAnswer as CloseWithoutAnswer,
)
from .faults.kinds import (
    Fault as Fault,
)
from .faults.kinds import (
    HalfOpen as HalfOpen,
)
from .faults.kinds import (
    HangInHandshake as HangInHandshake,
)
from .faults.kinds import (
    HasHeader as HasHeader,
)
from .faults.kinds import (
    Latency as Latency,
)
from .faults.kinds import (
    Matching as Matching,
)
from .faults.kinds import (
    MintAnswer as MintAnswer,
)
from .faults.kinds import (
    MintDropped as MintDropped,
)
from .faults.kinds import (
    MintForAnotherUser as MintForAnotherUser,
)
from .faults.kinds import (
    MintHangs as MintHangs,
)
from .faults.kinds import (
    MintNested as MintNested,
)
from .faults.kinds import (
    OneFault as OneFault,
)
from .faults.kinds import (
    ReadSlowly as ReadSlowly,
)
from .faults.kinds import (
    Refuse as Refuse,
)
from .faults.kinds import (
    ResetAfter as ResetAfter,
)
from .faults.kinds import (
    ResetAtAccept as ResetAtAccept,
)
from .faults.kinds import (
    SilentAfterAccept as SilentAfterAccept,
)
from .faults.kinds import (
    Slices as Slices,
)
from .faults.kinds import (
    SlowClose as SlowClose,
)
from .faults.kinds import (
    Sometimes as Sometimes,
)
from .faults.kinds import (
    StopReadingAfter as StopReadingAfter,
)
from .faults.kinds import (
    TlsOnly as TlsOnly,
)
from .faults.kinds import (
    TokensExpire as TokensExpire,
)
from .faults.kinds import (
    in_turn as in_turn,
)
from .faults.kinds import (
    mint_refused as mint_refused,
)
from .faults.kinds import (
    mint_with_token as mint_with_token,
)
from .faults.kinds import (
    mint_without_token as mint_without_token,
)
from .faults.text import parse_fault as parse_fault
from .fronts.apache import ApacheFront as ApacheFront
from .fronts.caddy import CaddyFront as CaddyFront
from .fronts.haproxy import HaproxyFront as HaproxyFront
from .fronts.nginx import NginxFront as NginxFront
from .fronts.proxy import PathPrefixProxy as PathPrefixProxy
from .fronts.tinyproxy import Tinyproxy as Tinyproxy
from .nodes.cluster import RealCluster as RealCluster
from .nodes.node import RealNode as RealNode
from .peer.certificates import Authority as Authority
from .peer.options import Login as Login
from .peer.payloads import (
    Payload as Payload,
)
from .peer.payloads import (
    stage_payload as stage_payload,
)
from .peer.peer import FakePeer as FakePeer
from .replication.faults import (
    Dropped as Dropped,
)
from .replication.faults import (
    ErrorAnswer as ErrorAnswer,
)
from .replication.faults import (
    Fragments as Fragments,
)
from .replication.faults import (
    Garbage as Garbage,
)
from .replication.faults import (
    HugeAnswer as HugeAnswer,
)
from .replication.faults import (
    LateAnswer as LateAnswer,
)
from .replication.faults import (
    ListAnswer as ListAnswer,
)
from .replication.faults import (
    NestedToken as NestedToken,
)
from .replication.faults import (
    NoAnswer as NoAnswer,
)
from .replication.faults import (
    OthersFirst as OthersFirst,
)
from .replication.faults import (
    PingFirst as PingFirst,
)
from .replication.faults import (
    ReplicationFault as ReplicationFault,
)
from .replication.faults import (
    Subprotocol as Subprotocol,
)
from .replication.faults import (
    Unauthorized as Unauthorized,
)
from .replication.faults import (
    UnknownRequestId as UnknownRequestId,
)
from .replication.faults import (
    UpgradeHangs as UpgradeHangs,
)
from .replication.faults import (
    UpgradeRefused as UpgradeRefused,
)
from .replication.faults import (
    WideMaps as WideMaps,
)
from .replication.faults import (
    WithoutToken as WithoutToken,
)
from .replication.faults import (
    WithToken as WithToken,
)
from .replication.faults import (
    WrongAccept as WrongAccept,
)
from .replication.socket import FakeReplicationSocket as FakeReplicationSocket
from .replication.witness import SocketWitness as SocketWitness
from .witness.connections import (
    ConnectionWitness as ConnectionWitness,
)
from .witness.connections import (
    RequestWitness as RequestWitness,
)
from .witness.requests import (
    MintWitness as MintWitness,
)
from .witness.requests import (
    OperationWitness as OperationWitness,
)
from .witness.requests import (
    UploadWitness as UploadWitness,
)
from .witness.wire.finding import (
    Finding as Finding,
)
from .witness.wire.finding import (
    Rule as Rule,
)
from .witness.wire.reader import check_upload as check_upload
