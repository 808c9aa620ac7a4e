"""What one request, or all together, may cost: the settings `CONVSCOPE_LIMITS__*`."""

from pydantic import BaseModel, Field


class Limits(BaseModel):
    """What one request, or all together, may cost."""

    max_image_bytes: int = Field(20 * 2**20, ge=1, description="Largest image file taken, in bytes.")
    max_image_pixels: int = Field(40_000_000, ge=1, description="Largest picture decoded, in pixels.")
    dataset_images: int = Field(10_000, ge=1, description="Pictures that a dataset may have.")
    dataset_bytes: int = Field(2**28, ge=1, description="Largest dataset taken, a ZIP or a folder, in bytes.")
    dataset_unpacked_bytes: int = Field(2**31, ge=1, description="Bytes of all picture files of a dataset, unpacked.")
    dataset_timeout_seconds: float = Field(600, gt=0, description="How long a client may take to send a dataset.")
    dataset_uploads: int = Field(4, ge=1, description="Datasets that are received at the same time; then 503.")
    running_requests: int = Field(
        16, ge=1, description="Requests in work at the same time; each may hold a decoded picture."
    )
    request_seconds: float = Field(
        60, gt=0, description="How long one request may be computed for; then 503. The slowest honest ones take a few."
    )
    dataset_check_seconds: float = Field(
        30, gt=0, description="How long one dataset may be checked for; then 503. Ten thousand XML files take three."
    )
    work_bytes: int = Field(
        2**31,
        ge=1,
        description="Memory for the pictures of all requests, by their headers; then 503. About 16 bytes a pixel where "
        "a heat map is drawn: ten pictures of 12 megapixels, or three of 40.",
    )
    batch_size: int = Field(8, ge=1, description="Pictures that one computation takes together, where so many wait.")
    activation_cache_bytes: int = Field(
        128 * 2**20, ge=0, description="Memory for what was computed of recent pictures, for another class; 0: none."
    )
    waiting_requests: int = Field(
        64, ge=0, description="Requests that may wait beyond those, as far as they are answered in time; then 503."
    )
    wait_seconds: float = Field(
        0.1,
        gt=0,
        description="How long a request may wait for others of its owner, or of everybody without keys, by the time "
        "that the last answers took; then 503. Sixteen are taken at once however long. With more, larger bursts are "
        "taken whole, and wait.",
    )
    body_bytes: int = Field(
        2**29,
        ge=2**24,
        description="Memory for the bodies of all requests, held before they are read; then 503. A JSON body takes "
        "five times its bytes; datasets go to the disk.",
    )
    owner_requests_per_minute: int = Field(
        600, ge=1, description="Requests that one owner of keys may send in a minute; then 429."
    )
    owner_requests_at_a_time: int = Field(
        32, ge=1, description="Requests with a body that one owner may have open at the same time; then 429."
    )
    connections: int = Field(
        2000,
        ge=1,
        description="Connections open at the same time; then the longest idle one is closed, or a new one hears 503. "
        "Each takes a file descriptor: there may be fewer where the system's limit is lower.",
    )
    head_timeout_seconds: float = Field(
        10, gt=0, description="How long a client may take from connecting to the end of a request's headers."
    )
    body_timeout_seconds: float = Field(
        30, gt=0, description="How long a client may take to send a request's body, whatever its rate."
    )
    body_bytes_per_second: int = Field(
        20_000,
        ge=1,
        description="Every so many bytes that have come give a body with an image another second: a third of what a "
        "phone sends on a poor line.",
    )
    model_bytes: int | None = Field(
        None,
        ge=2**20,
        description="Memory of all loaded models together, weights and compiled graphs, per process; those asked for "
        "longest ago go when another is needed. Empty: half of the machine's, or the container's, shared by the "
        "service and its processes for jobs.",
    )
    traces_per_model: int = Field(
        64,
        ge=1,
        description="Compiled graphs kept per model: 14 kB for each operation, 1 to 30 MB, and their kernels. All of "
        "one model's take at most half of `CONVSCOPE_LIMITS__MODEL_BYTES`.",
    )
    kernel_bytes: int = Field(
        2**29,
        ge=0,
        description="Bytes of the kernels that are constants of those graphs, per model; TensorFlow holds each eight "
        "times, so that a quarter of `CONVSCOPE_LIMITS__MODEL_BYTES` is the most. 0: none are, and passes take longer.",
    )
    result_cache_bytes: int = Field(
        128 * 2**20, ge=0, description="Memory for finished results, given again to the same request; 0: none kept."
    )
    input_bytes: int = Field(
        2**32,
        ge=1,
        description="Bytes of all pictures and datasets that jobs were sent with, sixteen of the largest; then 507.",
    )
    result_bytes: int = Field(
        2**34,
        ge=1,
        description="Bytes of all pictures of jobs, which are kept for a day; then 507, and running jobs fail.",
    )
    idempotency_keys: int = Field(
        20_000, ge=1, description="Idempotency-Keys remembered, for a day at most; beyond, the oldest are forgotten."
    )
    queued_jobs: int = Field(10_000, ge=1, description="Jobs that may be queued or running; then 503.")
    owner_queued_jobs: int = Field(
        1000, ge=1, description="Jobs of one owner that may be queued or running; then 429. Where there are keys."
    )
    owner_job_items: int = Field(
        100_000,
        ge=1,
        description="Items, such as filters or pictures of datasets, of all jobs of one owner that are queued or "
        "running; then 429. Where there are keys.",
    )
    owner_stored_bytes: int = Field(
        2**31,
        ge=1,
        description="Bytes of inputs and pictures of all jobs of one owner that are kept; then 429. Where there are "
        "keys.",
    )
    event_streams: int = Field(
        100, ge=1, description="Clients that may watch jobs, and as many that may wait for one, at the same time."
    )
    pass_bytes: int = Field(
        2**29, ge=1, description="Memory for the pictures that one pass computes together, by a network's widest layer."
    )
    job_items: int = Field(2048, ge=1, description="Items, such as filters, that one job may ask for.")
    job_steps: int = Field(1000, ge=1, description="Steps that one job may ask for.")
    job_size: int = Field(512, ge=1, description="Largest side of a picture that one job may ask for, in pixels.")
    ascent_bytes: int = Field(
        2**30, ge=1, description="Memory for the numbers of pictures that gradient ascent computes together."
    )
    model_config_bytes: int = Field(
        4 * 2**20, ge=1, description="Largest configuration in a model file, in bytes: Keras takes seconds for each."
    )
    model_config_entries: int = Field(
        500_000, ge=1, description="Values in it: a few bytes of JSON become a hundred of memory."
    )
    model_layers: int = Field(5_000, ge=1, description="Layers of a model, a nested model's as often as it is called.")
    model_build_calls: int = Field(
        50_000,
        ge=1,
        description="Calls of layers with which Keras builds a model, some 0.3 ms each: long and nested Sequentials "
        "have their square.",
    )
    model_name_length: int = Field(
        256, ge=1, description="Characters of a layer's name or another text in a model file."
    )
    model_expansion: int = Field(
        20, ge=1, description="How often the bytes of a model file may be unpacked; Keras packs nothing."
    )
    model_weight_bytes: int = Field(2**32, ge=1, description="Memory for the weights of one model.")
    model_input_numbers: int = Field(2**26, ge=1, description="Numbers of one picture that a model may take.")
    model_operations: int = Field(
        10**12,
        ge=1,
        description="Floating-point operations of a model's pass with one picture, tens of seconds on two cores.",
    )
    model_tensor_bytes: int = Field(
        2**30, ge=1, description="Memory for the output of a model's widest layer, for one picture."
    )
    cell_memory_bytes: int = Field(
        2**33,
        ge=2**30,
        description="Memory of the process that reads one model file, of which TensorFlow takes half a GB.",
    )
    cell_processor_seconds: int = Field(
        600, ge=10, description="Processor time of that process, of all cores together; then the model fails."
    )
    cell_seconds: float = Field(
        300, gt=0, description="How long that process may take, importing TensorFlow included; then the model fails."
    )
    fetched_bytes: int = Field(
        2**35,
        ge=2**20,
        description="Disk space of `CONVSCOPE_FETCHED`; those used longest ago go. A larger file is refused.",
    )
    fetch_seconds: float = Field(600, gt=0, description="How long the file of one model may be fetched for.")
    network_cache_bytes: int = Field(
        2**33,
        ge=0,
        description="Disk space of `CONVSCOPE_NETWORKS`; those used longest ago go. 0: none are kept.",
    )
