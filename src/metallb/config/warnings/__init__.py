"""What a change would do before it bites, in sentences: each names the object, what would come, and what to do.

Said is only what the change brings about, or what is so about the object that changes; nothing about what is unknown.
"""

from metallb.config.warnings.foresight import foresee
from metallb.config.warnings.sentences import bounded, few

__all__ = ["bounded", "few", "foresee"]
