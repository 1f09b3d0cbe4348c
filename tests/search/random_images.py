"""Create random images. `TERMS` are search terms that find some of these images."""

from __future__ import annotations

import random
from datetime import timedelta

from models import Image, LifeCycle, Person, Scope, now
from webapp.clouds.details import ImageState

PATHS = ("", "acme", "acme/production", "acme/staging", "globex")
TAGS = ("cis", "CIS", "team=web", "Team=db", "team", "two words", 'quo"te=b\\')
WORDS = (
    "golden",
    "web",
    "Ünïcode",
    'quo"te',
    "per%cent",
    "under_score",
    "back\\slash",
    "İstanbul",
    "映像",
    "本番用の映像",
    "本a",
    "서버",
    "ｻｰﾊﾞ",
)
TERMS = (
    "golden", "web", "ünï", '"quo\\"te"', "per%cent", "under_sc", '"back\\\\slash"', "den web",
    "ami-", "cloud:aws", "cloud:gce", "-cloud:azure", "location:eu-west-1", "os:ubuntu",
    'os:"ubuntu 24.04"', "os:Haiku", '-os:"Haiku R1"', "scope:account", "-scope:scalr",
    "owner:here", "owner:above", "owner:below", "in:below", "shared:no", "shared:yes",
    "agent:no", "-agent:no", "arch:arm64",
    "status:deprecated", "-status:active", "status:gone", "verified:no", "size:>30", "size:<=8",
    "status:not-checked", "-status:not-checked", "status:available",
    "-size:>30", "size:8", "created:<2026-01-01", "created:>=2025-06-01", "-created:>2026-03-01",
    "cloud:a", "-cloud:a", "status:a", "-status:de",
    "by:me", "-by:me", 'by:"scalr-admin"', "id:00f", "-id:00a", "-golden",
    "tag:cis", "tag:TEAM=web", "tag:team", "-tag:team=db", "-tag:team", 'tag:"two words"',
    "tag:none",
    "映像", "本", "-番", "本a", "像 本", "の映", "서버", "ﾊ", "番用の映",
)  # fmt: skip


def create_random_image(
    chance: random.Random, number: int, scope: Scope, person: Person | None
) -> None:
    Image.create(
        scope=scope,
        cloud=chance.choice(["aws", "gce", "azure"]),
        location=chance.choice(["", "us-east-1", "eu-west-1"]),
        cloud_image_id=f"ami-{number:05x}{chance.randrange(16**3):03x}",
        name=f"{chance.choice(WORDS)} {chance.choice(WORDS)}",
        description=chance.choice(["", *WORDS]),
        **dict(
            zip(
                ("os_family", "os_version"),
                chance.choice([("ubuntu", "24.04"), ("ubuntu", "22.04"), ("Haiku", "R1")]),
                strict=True,
            )
        ),
        size_gb=chance.choice([None, 8, 30, 31, 100]),
        agent_installed=chance.random() < 0.5,
        shared=chance.random() < 0.6,
        architecture=chance.choice(["x86_64", "arm64", ""]),
        state=chance.choice(list(ImageState)),
        status=chance.choice(list(LifeCycle)),
        details={},
        credentials_name="",
        tags=chance.sample(TAGS, chance.choice([0, 0, 1, 3])),
        registered_by=person,
        registered_by_name=person.name if person else "Somebody gone",
        registered_at=now().replace(year=2026, month=6, day=1)
        - timedelta(days=chance.randrange(700), hours=chance.randrange(24)),
    )
