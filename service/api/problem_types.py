"""The one table of what can go wrong over HTTP: from a stable code to status, title and explanation."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class ProblemType:
    status: int
    title: str
    explanation: str


PROBLEMS: Final[dict[str, ProblemType]] = {
    "model_not_found": ProblemType(404, "Unknown model", "No model of that name; `GET /v1/models` lists them."),
    "version_not_found": ProblemType(
        404, "Unknown version", "The model has no such version; leave it out for the newest."
    ),
    "model_failed": ProblemType(
        503,
        "Model failed to load",
        "The model's file is refused or broken; the detail says why. Other models are not touched.",
    ),
    "model_not_loaded": ProblemType(
        409,
        "Model not loaded",
        "Looking at a model does not load it: send `POST /v1/models/{model}/load` or a picture, then look again.",
    ),
    "weights_unavailable": ProblemType(
        503,
        "Weights not at hand",
        "The model's weights are not on the server and could not be fetched; the detail names the file and where to "
        "put it. Every further request tries again. Other models are not touched.",
    ),
    "method_unavailable": ProblemType(
        422, "Method does not work on this model", "The network lacks what the method needs, such as class scores."
    ),
    "layer_not_found": ProblemType(422, "Unknown layer", "Layers are named by path, `/` between nested models."),
    "layer_not_spatial": ProblemType(422, "Layer without spatial axes", "A map needs a layer of height and width."),
    "layer_not_connected": ProblemType(422, "Layer not connected", "The class scores do not depend on this layer."),
    "layer_without_kernel": ProblemType(
        422, "Layer without a kernel", "Only layers with weights have filters to show."
    ),
    "layer_without_filters": ProblemType(
        422, "Layer without filters", "Only layers that compute something have filters: the detail names the nearest."
    ),
    "size_unsuitable": ProblemType(
        422, "Size does not suit the layer", "The network cannot compute the layer from a canvas of this size."
    ),
    "layer_not_drawable": ProblemType(
        422, "Layer cannot be drawn", "Its output is neither maps, sequences nor a vector."
    ),
    "channel_out_of_range": ProblemType(
        422, "Channel out of range", "Channels count from 0; the detail says how many there are."
    ),
    "unit_out_of_range": ProblemType(
        422, "Unit out of range", "Units count from 0; the detail says how many there are."
    ),
    "filter_out_of_range": ProblemType(
        422, "Filter out of range", "Filters count from 0; the detail says how many there are."
    ),
    "page_out_of_range": ProblemType(
        422, "Page out of range", "Pages count from 1; the detail says how many there are."
    ),
    "picture_out_of_range": ProblemType(
        422, "Unknown picture", "The dataset has fewer pictures, counted from 0, or this one of them cannot be read."
    ),
    "latent_too_large": ProblemType(
        422, "Latent too large", "An autoencoder's latent has more units than this method can keep of every picture."
    ),
    "too_many_values": ProblemType(
        422, "Too many values", "So many raw numbers are not written as JSON: ask for fewer channels."
    ),
    "class_out_of_range": ProblemType(
        422, "Class out of range", "Classes count from 0; `GET /v1/models/{model}` lists them."
    ),
    "not_finite": ProblemType(422, "No finite answer", "The network's output for this picture is NaN or infinite."),
    "computation_failed": ProblemType(
        422,
        "Network cannot compute this picture",
        "It refuses the picture's size, most often: too small for its layers.",
    ),
    "image_missing": ProblemType(422, "No image", "The method needs a picture: form file or JSON member `image`."),
    "image_invalid": ProblemType(422, "Not a readable image", "The bytes are no picture, or a damaged one."),
    "image_too_large": ProblemType(413, "Image too large", "The image file has more bytes than the limit."),
    "image_too_many_pixels": ProblemType(
        422, "Image too large", "The image has more pixels than the limit; it was refused before decoding."
    ),
    "images_missing": ProblemType(
        422,
        "No images",
        "The method needs a dataset: form files `images`, a ZIP among them, or `dataset=NAME`.",
    ),
    "dataset_not_found": ProblemType(
        422,
        "Unknown dataset",
        "No dataset of that name: a folder under `datasets` in the service's data folder, or a built-in one.",
    ),
    "dataset_invalid": ProblemType(
        422, "Not a readable dataset", "The ZIP is damaged or encrypted, or names files that lead out of it."
    ),
    "dataset_empty": ProblemType(422, "Empty dataset", "There is no picture in the dataset, or none that can be read."),
    "dataset_too_large": ProblemType(
        413, "Dataset too large", "The dataset has more pictures or bytes than the limit; the detail says which."
    ),
    "annotation_invalid": ProblemType(
        422,
        "Not a readable annotation",
        "A file of the dataset that says where the objects are (a mask, Pascal VOC or COCO) is damaged or does not fit "
        "its picture; the detail names it. Mend it or leave it out.",
    ),
    "versions_invalid": ProblemType(
        422, "Versions cannot be compared", "Name two versions of the model or more, such as `1,2,5`, or `all`."
    ),
    "versions_differ": ProblemType(
        422, "Versions differ", "The versions have different layers, so that there is nothing to lay side by side."
    ),
    "job_too_large": ProblemType(
        422, "Job too large", "One job may ask for only so much; the detail says the limit. Make it several jobs."
    ),
    "jobs_unavailable": ProblemType(
        503, "Jobs unavailable", "The place of the job records cannot be reached; other requests are answered."
    ),
    "storage_unavailable": ProblemType(
        503, "Storage unavailable", "The place of jobs' pictures cannot be reached; other requests are answered."
    ),
    "storage_full": ProblemType(
        507,
        "Storage full",
        "There is no room for what jobs are sent with, or for their pictures: delete jobs that are done, or wait until "
        "some expire. Whoever runs the service may raise `CONVSCOPE_LIMITS__INPUT_BYTES` and `__RESULT_BYTES`.",
    ),
    "temporary_storage_full": ProblemType(
        503,
        "Temporary storage full",
        "There is no room for what was sent while it is looked at (`TMPDIR`): it is free again when others are done.",
    ),
    "queue_full": ProblemType(503, "Queue full", "As many jobs wait as may wait; try again after `Retry-After`."),
    "owner_limit_reached": ProblemType(
        429,
        "Limit of your key reached",
        "Your jobs come to as much as they may: queued or running ones, their items, or bytes kept. The detail says "
        "which, how much is used, and what to do.",
    ),
    "streams_full": ProblemType(
        503, "Too many watchers", "As many clients watch jobs as may; ask `GET /v1/jobs/{id}` now and then instead."
    ),
    "job_not_found": ProblemType(404, "Unknown job", "No job of that id; `GET /v1/jobs` lists them."),
    "job_expired": ProblemType(410, "Job expired", "The job's time is over and its pictures are gone; send it again."),
    "job_ended": ProblemType(409, "Job has ended", "A job that has succeeded or failed cannot be cancelled."),
    "image_not_found": ProblemType(404, "Unknown picture", "The job has no such picture, or not yet; it lists them."),
    "bearer_required": ProblemType(
        403,
        "Told to a key alone",
        "The page's cookie does not do here: send the key itself as `Authorization: Bearer KEY`.",
    ),
    "webhooks_full": ProblemType(
        409,
        "Too many webhooks",
        "Equal requests share a job, and it tells as many webhooks as a job may: look at it, or have a job of your own "
        "with `Cache-Control: no-cache`.",
    ),
    "webhook_without_job": ProblemType(
        422,
        "Nothing to be told of",
        "A webhook is told of jobs, and this request is answered at once: send it with `Prefer: respond-async`.",
    ),
    "address_refused": ProblemType(
        422,
        "Address refused",
        "The service sends nothing to this URL: it is none, is not https, or its host has no public address. Whoever "
        "runs the service may allow hosts and networks inside (`CONVSCOPE_WEBHOOKS_ALLOW`).",
    ),
    "idempotency_key_reused": ProblemType(
        422, "Idempotency-Key reused", "The key came with another request before; make a new one for each request."
    ),
    "idempotency_key_invalid": ProblemType(
        422, "Idempotency-Key invalid", "A key is 1 to 255 printable ASCII characters, such as a UUID."
    ),
    "request_in_progress": ProblemType(
        409, "Request in progress", "The first request with this Idempotency-Key is not answered yet; try again."
    ),
    "model_changed": ProblemType(
        409, "Model has changed", "The model's file is no longer the one that the job was made for; send it again."
    ),
    "worker_lost": ProblemType(
        500,
        "Worker lost",
        "Every process that computed the job's work ended in the middle of it, most often for memory.",
    ),
    "server_busy": ProblemType(
        503,
        "Server busy",
        "More requests, or larger bodies, than are answered in time; try again after `Retry-After` (docs/limits.md).",
    ),
    "deadline_exceeded": ProblemType(
        503,
        "Took too long",
        "One request may compute, and one dataset may be checked, for only so long; send less at once, or try again "
        "when the service has less to do.",
    ),
    "client_gone": ProblemType(
        499, "Client gone", "The client left before its request was answered; nobody reads this."
    ),
    "not_ready": ProblemType(503, "Not ready", "The built-in model has not run yet; try again in a moment."),
    "invalid_parameters": ProblemType(
        422, "Invalid parameters", "A parameter is unknown or has a value out of range; `errors` points to each."
    ),
    "invalid_json": ProblemType(400, "Not JSON", "The body is not a JSON object (RFC 8259: no NaN, no Infinity)."),
    "invalid_form": ProblemType(
        400, "Not a form", "The body is not the multipart form that its Content-Type announces."
    ),
    "body_too_large": ProblemType(413, "Body too large", "The request's body is larger than an image may be."),
    "body_incomplete": ProblemType(400, "Body incomplete", "The connection ended before the request's body did."),
    "body_timeout": ProblemType(
        408, "Body too slow", "The request's body did not arrive in time, or gave way to others that did."
    ),
    "unsupported_media_type": ProblemType(
        415, "Unsupported media type", "Send `multipart/form-data` or `application/json`."
    ),
    "not_acceptable": ProblemType(
        406, "Not acceptable", "Answers are `application/json`, or `image/png` where there is a picture."
    ),
    "body_in_pieces": ProblemType(
        400,
        "Body in small pieces",
        "The body comes in pieces of a few bytes, each of which costs as much as a large one.",
    ),
    "head_too_large": ProblemType(
        431, "Headers too large", "The request's path and headers are larger than any that are needed here."
    ),
    "head_timeout": ProblemType(408, "Headers too slow", "The request's headers did not arrive in time."),
    "connections_full": ProblemType(
        503, "Too many connections", "As many connections are open as may be; try again after `Retry-After`."
    ),
    "host_not_allowed": ProblemType(
        421,
        "Not this service's name",
        "The request names a host that this service does not answer to, which is how a foreign page reaches it by DNS "
        "rebinding. Loopback names and all addresses are answered to; list others in `CONVSCOPE_HOSTS`.",
    ),
    "cross_site_refused": ProblemType(
        403,
        "Asked by a foreign page",
        "A browser sent this for a page of another origin (`Sec-Fetch-Site`, `Origin`). Only the service's own pages "
        "may ask, and programs, which send neither header.",
    ),
    "key_missing": ProblemType(
        401,
        "Key missing",
        "This needs a key: send it as `Authorization: Bearer KEY`, or sign in on the page. Who runs the service makes "
        "keys, by `convscope keys new`.",
    ),
    "key_invalid": ProblemType(
        401, "Key not valid", "The key is none of this service's, or has been revoked, or its time or session is over."
    ),
    "role_insufficient": ProblemType(
        403, "Role does not suffice", "The key may not do this: the detail says which role may (docs/keys.md)."
    ),
    "rate_limited": ProblemType(
        429, "Too many requests", "So many in so short a time are not answered: try again after `Retry-After`."
    ),
    "sessions_unavailable": ProblemType(
        503, "Sessions unavailable", "What signs the page's sessions cannot be read; requests with a key are answered."
    ),
    "not_found": ProblemType(404, "No such route", "`/docs` lists the routes."),
    "method_not_allowed": ProblemType(405, "Method not allowed", "The route exists, but not for this HTTP method."),
    "forwarded_invalid": ProblemType(
        400,
        "Forwarded address makes no sense",
        "A proxy in `CONVSCOPE_TRUSTED_PROXIES` sent an `X-Forwarded-Host`, `-Prefix` or `-Proto` that cannot be, or "
        "one of them twice. Have it replace what clients send by its own: docs/proxies.md has examples.",
    ),
    "bad_request": ProblemType(400, "Bad request", "The request cannot be understood."),
    "internal_error": ProblemType(500, "Internal error", "A fault of the service; it is in its log."),
}
