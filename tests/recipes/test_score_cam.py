"""Score-CAM on a closed-form network, chunk by chunk as a job."""

import io

import numpy as np
from PIL import Image
from service.engine.methods.heatmaps.score_cam import SCORE_CAM, ScoreCamParams

from service.engine.chunks import JobLimits, plan, run_all
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.running.request import Request
from tests.unit.fakes import closed_form_model

LIMITS = ImageLimits(2**20, 10**6)


def test_map_is_that_of_the_channel_whose_mask_leaves_the_class():
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[1, 2, 0] = pixels[3, 3, 1] = 200
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    model = closed_form_model([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    request = Request(SCORE_CAM, ScoreCamParams(class_index=0, values="raw"), ImageFile(buffer.getvalue()))
    assert plan(model, request, LIMITS, JobLimits()).chunks == [[0, 1, 2]]
    told: list[float] = []
    result = run_all(model, request, LIMITS, JobLimits(), told.append)
    heat = np.asarray(result.values["map"])
    assert heat.argmax() == 1 * heat.shape[1] + 2
    assert [image.name for image in result.images] == ["overlay", "heatmap", "input"]
    assert result.target is not None
    assert (result.target.index, result.layer) == (0, "maps")
    assert told == sorted(told)
    assert told[-1] == 1.0
