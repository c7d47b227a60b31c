"""Which cell answers for which face, and what the answers cost.

Faces choose their cells by what the cells say already: the cheapest few near their center, more of them the better the
boxes fit (SimOTA: Ge et al. 2021, "YOLOX: Exceeding YOLO Series in 2021", section 2.1). A cell's score shall be the
overlap of its own box with the face: one quality score, in place of a class and a centerness (Li et al. 2020,
"Generalized Focal Loss", section 3).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agepred_train.detector.network import Cells, Predictions

# A cell may answer for faces between these sizes, in strides: below it cannot see them, above it sees a part only.
_SIZES = (1.4, 11.0)
# Cells compete for a face when it is centered within this many strides of them.
_REACH = 1.6
_MOST_CELLS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The faces of a batch, padded to the same number G."""

    boxes: Tensor
    """Left, top, right, bottom in pixels, [N, G, 4]."""
    points: Tensor
    """Five points, [N, G, 5, 2]; NaN where they are not known."""
    ignored: Tensor
    """Whether the place is neither asked for nor punished, bool [N, G]."""
    present: Tensor
    """Whether the row is a face at all, bool [N, G]."""

    def to(self, device: torch.device) -> "Targets":
        """Return the same on a device."""
        return Targets(
            boxes=self.boxes.to(device),
            points=self.points.to(device),
            ignored=self.ignored.to(device),
            present=self.present.to(device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Each cell's face."""

    face: Tensor
    """Index of the face, [N, A]; 0 where there is none."""
    overlap: Tensor
    """Intersection over union of the cell's box with its face, [N, A]; 0 where there is none."""
    positive: Tensor
    """Whether the cell answers for a face, bool [N, A]."""
    counted: Tensor
    """Whether its score is judged, bool [N, A]."""


@torch.no_grad()
def assign(predictions: Predictions, targets: Targets, cells: Cells) -> Assignment:
    """Give each face its cells."""
    asked = targets.present & ~targets.ignored
    centers = cells.corners + cells.strides[:, None] / 2
    face_centers = (targets.boxes[..., :2] + targets.boxes[..., 2:]) / 2
    sizes = (targets.boxes[..., 2:] - targets.boxes[..., :2]).clamp(min=1e-3)
    side = sizes.prod(dim=-1).sqrt()
    distance = (centers[None, None] - face_centers[:, :, None]).abs().amax(dim=-1)  # [N, G, A]
    relative = side[..., None] / cells.strides
    finest, coarsest = cells.strides == cells.strides.min(), cells.strides == cells.strides.max()
    fits = ((relative >= _SIZES[0]) | finest) & ((relative <= _SIZES[1]) | coarsest)
    candidate = (distance < _REACH * cells.strides) & fits & asked[..., None]

    overlap = _overlaps(targets.boxes, predictions.boxes)  # [N, G, A]
    score = predictions.scores[:, None].expand_as(overlap)
    cost = functional.binary_cross_entropy_with_logits(score, overlap, reduction="none")
    cost = cost + 3.0 * -(overlap + 1e-6).log() + distance / cells.strides * 0.1
    cost = torch.where(candidate, cost, torch.inf)

    most = min(_MOST_CELLS, cost.shape[-1])
    wanted = torch.where(candidate, overlap, 0).topk(most).values.sum(dim=-1).round().clamp(min=1, max=most)
    cheapest, at = cost.topk(most, largest=False)
    chosen = (torch.arange(most, device=cost.device) < wanted[..., None]) & cheapest.isfinite()
    mine = torch.zeros_like(candidate).scatter(2, at, chosen)
    # A cell that several faces want goes to the one it suits best.
    price, face = torch.where(mine, cost, torch.inf).min(dim=1)
    positive = price.isfinite()
    own = overlap.gather(1, face[:, None])[:, 0]

    doubtful = targets.present & targets.ignored
    inside = (centers[None, None] >= targets.boxes[:, :, None, :2]) & (
        centers[None, None] <= targets.boxes[:, :, None, 2:]
    )
    in_doubt = (inside.all(dim=-1) & doubtful[..., None]).any(dim=1)
    return Assignment(
        face=torch.where(positive, face, 0),
        overlap=torch.where(positive, own, 0.0),
        positive=positive,
        counted=positive | ~in_doubt,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """How much each part counts."""

    score: float
    box: float
    points: float


def detection_loss(
    predictions: Predictions, targets: Targets, assignment: Assignment, weights: LossWeights
) -> dict[str, Tensor]:
    """Return the weighted parts `score`, `box` and `points` of a batch's loss.

    A large face has ten cells and a small one has two. So that the small ones are heard, a cell's share is the inverse
    root of how many cells its face has.
    """
    rows, columns = assignment.positive.nonzero(as_tuple=True)
    faces = assignment.face[rows, columns]
    count = rows.numel()
    face = rows * targets.boxes.shape[1] + faces
    cells = torch.bincount(face, minlength=1)[face] if count else torch.ones(0, device=rows.device)
    share = cells.float().rsqrt()
    share = share * (count / share.sum().clamp(min=1e-6))
    count = max(count, 1)

    wanted = assignment.overlap
    plain = functional.binary_cross_entropy_with_logits(predictions.scores, wanted, reduction="none")
    hardness = (predictions.scores.sigmoid() - wanted).square()
    weight = assignment.counted.float().index_put((rows, columns), share)
    score = (plain * hardness * weight).sum() / count

    expected = targets.boxes[rows, faces]
    box = (distance_loss(predictions.boxes[rows, columns], expected) * share).sum() / count

    side = (expected[:, 2:] - expected[:, :2]).prod(dim=1).clamp(min=1.0).sqrt()
    points = targets.points[rows, faces]
    known = ~points.isnan().flatten(1).any(dim=1)
    error = (predictions.points[rows, columns][known] - points[known]) / side[known, None, None]
    point = functional.smooth_l1_loss(error, torch.zeros_like(error), beta=0.03, reduction="none").mean(dim=(1, 2))
    return {
        "score": weights.score * score,
        "box": weights.box * box,
        "points": weights.points * (point * share[known]).sum() / share[known].sum().clamp(min=1e-6),
    }


def _overlaps(faces: Tensor, boxes: Tensor) -> Tensor:
    """Return the intersection over union of faces [N, G, 4] and boxes [N, A, 4], [N, G, A]."""
    low = torch.maximum(faces[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(faces[:, :, None, 2:], boxes[:, None, :, 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    areas = (faces[..., 2:] - faces[..., :2]).prod(dim=-1)[:, :, None] + (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)[
        :, None
    ]
    return common / (areas - common).clamp(min=1e-6)


def distance_loss(boxes: Tensor, expected: Tensor) -> Tensor:
    """Return 1 - DIoU of pairs of boxes [n, 4] (Zheng et al. 2020, "Distance-IoU Loss")."""
    low, high = torch.maximum(boxes[:, :2], expected[:, :2]), torch.minimum(boxes[:, 2:], expected[:, 2:])
    common = (high - low).clamp(min=0).prod(dim=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + (expected[:, 2:] - expected[:, :2]).prod(dim=1)
    overlap = common / (areas - common).clamp(min=1e-6)
    hull = torch.maximum(boxes[:, 2:], expected[:, 2:]) - torch.minimum(boxes[:, :2], expected[:, :2])
    apart = (boxes[:, :2] + boxes[:, 2:] - expected[:, :2] - expected[:, 2:]).square().sum(dim=1) / 4
    return 1 - overlap + apart / hull.square().sum(dim=1).clamp(min=1e-6)
