"""A model: what a job made, or a base, ready to be deployed, downloaded, merged or deleted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from typing_extensions import override

from tunekit._text import parse_duration
from tunekit.deployments import Deployment
from tunekit.engine.session import Session
from tunekit.providers.base import Artifact, ModelRef


class TunedModel:
    """A model of a provider. Making the handle asks nobody whether the model exists."""

    def __init__(self, session: Session, ref: ModelRef) -> None:
        self._session = session
        self.ref = ref

    @property
    def id(self) -> str:
        """What the provider calls it; a folder for local models."""
        return self.ref.id

    @property
    def base_model(self) -> str | None:
        """What it was tuned from; None when it is a base itself."""
        return self.ref.base_model

    def deploy(
        self,
        *,
        name: str | None = None,
        ttl: str | float | timedelta | None = None,
        wait: bool = True,
        timeout: float | None = 900.0,
        **options: Any,
    ) -> Deployment:
        """Bring the model up and return once a real chat call has been answered.

        Without a `name` the same model always gets the same deployment, so calling twice never
        starts (or bills) two.

        Args:
            name: Identity of the deployment.
            ttl: When it ends by itself: seconds, `"15m"`, `"1h"` or a `timedelta`.
            wait: False returns at once; call `Deployment.wait` later.
            timeout: Seconds to wait for the first answer. A deployment that is not up by then is
                left as it is, since it may still come up; delete it if you do not want it.
            **options: The provider's own settings; unknown ones are refused.

        Raises:
            UnsupportedError: The provider cannot deploy.
            DeploymentFailedError: It did not come up; the message carries the reason.
            WaitTimeoutError: It is not up yet.
        """
        plan = self._session.deploy(self.ref, name=name, ttl=parse_duration(ttl), options=options)
        deployment = Deployment(self._session, self._session.run(plan))
        return deployment.wait(timeout=timeout) if wait else deployment

    def artifacts(self) -> Sequence[Artifact]:
        """The model's files.

        Raises:
            UnsupportedError: The provider hands out none.
        """
        return self._session.run(self._session.artifacts(self.ref))

    def download(self, to: str | Path) -> Path:
        """Copy the model's files into the folder `to`, which appears whole or not at all.

        Raises:
            UnsupportedError: The provider hands out none.
        """
        return self._session.run(self._session.download(self.ref, Path(to)))

    def merge(self, to: str | Path | None = None) -> TunedModel:
        """Merge an adapter into its base, in a folder of its own, and return that model.

        Raises:
            UnsupportedError: The provider cannot merge.
        """
        target = None if to is None else Path(to)
        return TunedModel(self._session, self._session.run(self._session.merge(self.ref, target)))

    def push(self, repo_id: str, *, private: bool = True) -> str:
        """Send the model to a Hugging Face repository and return its URL.

        Raises:
            UnsupportedError: The provider cannot push.
        """
        return self._session.run(self._session.push(self.ref, repo_id, private=private))

    def delete(self) -> None:
        """Delete the model at the provider. Deleting it twice is harmless.

        Raises:
            UnsupportedError: The provider cannot delete models.
        """
        self._session.run(self._session.delete_model(self.ref))

    @override
    def __repr__(self) -> str:
        return f"<TunedModel {self.id!r}>"
