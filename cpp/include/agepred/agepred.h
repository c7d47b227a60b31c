/* libagepred: how old the faces in a picture are, and how sure that is.
 *
 * The C ABI of agepred, the one interface of the library that stays compatible. It compiles as C11 and
 * as C++. The library takes pixels, never picture files; it prints nothing and never ends the process.
 *
 *     agepred_options options = {.struct_size = sizeof options, .age_model = "int8.onnx", .face_model = "face.onnx"};
 *     agepred_error error = {.struct_size = sizeof error};
 *     agepred_estimator *estimator = NULL;
 *     if (agepred_estimator_create(&options, &estimator, &error) != AGEPRED_OK)
 *         return complain(error.message);
 *     agepred_face faces[16] = {{.struct_size = sizeof(agepred_face)}};
 *     size_t count = 0;
 *     agepred_predict(estimator, &image, faces, 16, NULL, &count, &error);
 *     agepred_estimator_free(estimator);
 *
 * Conventions
 *   Results    Every call that can fail returns an agepred_status; AGEPRED_OK is 0. The message of a
 *              failure goes into the caller's own agepred_error, so that threads never share one; the
 *              pointer may be NULL. A call that fails writes none of its other outputs.
 *   Structs    Begin with their size, set by the caller: a struct of an older or a newer release works.
 *              Members that a caller leaves zero take the default that stands beside them. In an
 *              array the first element's size counts for all.
 *   Ownership  The caller owns every buffer. Only the two handles are the library's; each has its free.
 *   Pixels     Coordinates are continuous: (0, 0) is the top left corner of the picture, the center of
 *              the first pixel lies at (0.5, 0.5), x runs right and y runs down.
 *   Points     Five points of a face are ten floats, x and y in turn: right eye, left eye, nose tip,
 *              right and left corner of the mouth, where right is the person's right.
 *   Threads    A handle never changes after its creation: any number of threads may use one at once.
 *              Creating and freeing handles is safe beside calls on other handles.
 */
#ifndef AGEPRED_AGEPRED_H
#define AGEPRED_AGEPRED_H

#include <stddef.h>
#include <stdint.h>

#if defined(AGEPRED_STATIC)
#define AGEPRED_API
#elif defined(_WIN32) && defined(AGEPRED_BUILDING)
#define AGEPRED_API __declspec(dllexport)
#elif defined(_WIN32)
#define AGEPRED_API __declspec(dllimport)
#else
#define AGEPRED_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------------------------------- results */

typedef enum agepred_status {
    AGEPRED_OK = 0,
    AGEPRED_INVALID_ARGUMENT = 1, /* a NULL that may not be, a number out of its range */
    AGEPRED_INVALID_IMAGE = 2,    /* sizes, stride or pixel format that describe no picture */
    AGEPRED_FILE_NOT_FOUND = 3,   /* a model file that is not there or cannot be read */
    AGEPRED_INVALID_MODEL = 4,    /* not an ONNX file, or one that breaks docs/model_contract.md */
    AGEPRED_RUNTIME_MISSING = 5,  /* no ONNX Runtime found, or one that is too old for this library */
    AGEPRED_INFERENCE_FAILED = 6, /* ONNX Runtime reported an error while it ran a model */
    AGEPRED_OUT_OF_MEMORY = 7,
    AGEPRED_BUFFER_TOO_SMALL = 8, /* *count says how many elements there are; nothing else is written */
    AGEPRED_INTERNAL = 9          /* a fault of the library: please report it */
} agepred_status;

/* What went wrong, in words for the person who runs the program: the cause and the way out. */
typedef struct agepred_error {
    size_t struct_size;
    char message[512]; /* ends with a NUL; longer texts are cut */
} agepred_error;

/* The release of the library as "major.minor.patch". Never fails; the text is static. */
AGEPRED_API const char *agepred_version(void);

/* A short English name of an agepred_status, such as "invalid image"; "unknown status" for any other number. The text
 * is static. */
AGEPRED_API const char *agepred_status_name(int32_t status);

/* ---------------------------------------------------------------------------------------- pictures */

typedef enum agepred_pixel_format {
    AGEPRED_RGB = 1,  /* three bytes a pixel */
    AGEPRED_BGR = 2,  /* three */
    AGEPRED_RGBA = 3, /* four; alpha is ignored here and below */
    AGEPRED_BGRA = 4, /* four */
    AGEPRED_GRAY = 5  /* one */
} agepred_pixel_format;

/* Borrowed pixels, 8 bits a channel, read during the call only. */
typedef struct agepred_image {
    size_t struct_size;
    const uint8_t *pixels; /* the first byte of the top row */
    int32_t width;         /* in pixels, 1 to 65535 */
    int32_t height;        /* in pixels, 1 to 65535 */
    ptrdiff_t stride;      /* bytes from a row to the next one below it; negative where rows lie bottom up */
    int32_t format;        /* an agepred_pixel_format */
} agepred_image;

/* ----------------------------------------------------------------------------------------- runtime */

/* Which ONNX Runtime would be used, and on what processor. */
typedef struct agepred_runtime_info {
    size_t struct_size;
    char onnxruntime_version[32];
    char onnxruntime_path[512];
    char cpu_features[128]; /* those that decide int8 speed, as "avx2 avx512f avx512_vnni" or "neon dotprod" */
} agepred_runtime_info;

/* Finds ONNX Runtime as the create functions do and describes it. onnxruntime_path: as in
 * agepred_options. cpu_features is filled even where no runtime is found. */
AGEPRED_API agepred_status agepred_runtime_describe(const char *onnxruntime_path, agepred_runtime_info *info,
                                                    agepred_error *error);

/* ----------------------------------------------------------------------------------------- options */

typedef struct agepred_options {
    size_t struct_size;
    const char *age_model;        /* path of an ONNX file; not used by a detector */
    const char *face_model;       /* path of an ONNX file */
    const char *onnxruntime_path; /* NULL: $AGEPRED_ONNXRUNTIME, else what the process has loaded, else the
                                     system's libonnxruntime.so.1 */
    int32_t threads;              /* of each model's run, 1 to 64; 0: 1 */
    int32_t allow_spinning;       /* not 0: waiting threads spin, faster in a hot loop, costly beside other work */
    int32_t disable_arena;        /* not 0: less memory kept between calls, slower calls */
    float min_score;              /* faces below it are left out, 0 to 1; 0: the face model's own, 0.6 for YuNet */
    int32_t max_side;             /* the detector sees a larger picture shrunk to this longer side in pixels,
                                     32 to 4096; 0: 640 */
    float interval_level;         /* probability that intervals shall hold, 0.01 to 0.999; 0: the model's own */
    const char *points_model;     /* path of an ONNX file that refines the detector's five points; NULL or "": none */
    float smallest_face;          /* height in pixels of the picture of the smallest face that must be found, up to
                                     65535: the larger, the further a picture is shrunk for the detector, and the
                                     faster that is; 0: any that max_side lets it see */
} agepred_options;

/* ------------------------------------------------------------------------------------ face detector */

/* A face as the detector sees it, in pixels of the picture. The box may reach beyond the picture. */
typedef struct agepred_detection {
    size_t struct_size;
    float x, y, width, height;
    float score;      /* 0 to 1 */
    float points[10]; /* of the points model, if there is one */
} agepred_detection;

typedef struct agepred_detector agepred_detector;

/* Loads a face model and, where options name one, a points model. *detector is the caller's until
 * agepred_detector_free. */
AGEPRED_API agepred_status agepred_detector_create(const agepred_options *options, agepred_detector **detector,
                                                   agepred_error *error);

/* NULL is allowed. No other thread may be using the detector. */
AGEPRED_API void agepred_detector_free(agepred_detector *detector);

/* Finds the faces of a picture, largest box first. *count: how many there are, 0 being an answer and
 * not a failure. More than capacity: AGEPRED_BUFFER_TOO_SMALL. */
AGEPRED_API agepred_status agepred_detect(const agepred_detector *detector, const agepred_image *image,
                                          agepred_detection *detections, size_t capacity, size_t *count,
                                          agepred_error *error);

/* ------------------------------------------------------------------------------------------- crops */

/* Cuts an upright face: the least-squares similarity transform that takes points onto targets, sampled
 * bilinearly, averaged over the source where that is finer than the crop, the border reflected
 * (docs/model_contract.md has the definition). Needs neither a model nor ONNX Runtime.
 *   points   ten floats in pixels of the picture
 *   targets  ten floats in fractions of the crop's side; NULL: the geometry that agepred's models use
 *   side     of the crop in pixels, 1 to 1024
 *   crop     side x side x 3 bytes, RGB, rows top down without gaps */
AGEPRED_API agepred_status agepred_align(const agepred_image *image, const float *points, const float *targets,
                                         int32_t side, uint8_t *crop, agepred_error *error);

/* ------------------------------------------------------------------------------------ age estimator */

/* An age in years. */
typedef struct agepred_age {
    size_t struct_size;
    float age;    /* mean of the distribution */
    float stddev; /* its standard deviation */
    float low;    /* the interval that holds the age with probability agepred_estimator_info.interval_level */
    float high;
    int32_t group; /* index of the likeliest of agepred_estimator_info.groups */
} agepred_age;

/* A face and its age: an agepred_detection followed by an agepred_age. */
typedef struct agepred_face {
    size_t struct_size;
    float x, y, width, height;
    float score;
    float points[10];
    float age;
    float stddev;
    float low;
    float high;
    int32_t group;
} agepred_face;

#define AGEPRED_MAX_GROUPS 16

typedef struct agepred_estimator_info {
    size_t struct_size;
    char model_version[32];
    char crop_detector[128]; /* the detector whose points the model was trained on */
    int32_t crop_side;       /* of the crop that the model sees, in pixels */
    float crop_points[10];   /* its targets, in fractions of the side */
    int32_t first_age;       /* age of the first probability */
    int32_t age_count;       /* number of probabilities, one a year */
    int32_t int8_exact;      /* not 0: int8 arithmetic cannot saturate on any processor */
    float interval_level;    /* probability that [low, high] claims */
    int32_t group_count;
    int32_t groups[AGEPRED_MAX_GROUPS][2]; /* first and last age of each */
    int32_t map_rows;                      /* of the maps of agepred_explain_crop; 0: the model cannot explain */
    int32_t map_columns;
    float map_first; /* cell (row r, column c) is centered on the crop's pixel coordinates */
    float map_step;  /* x = map_first + c map_step, y = map_first + r map_step */
} agepred_estimator_info;

typedef struct agepred_estimator agepred_estimator;

/* Loads an age model and, where options name them, a face model and a points model. *estimator is the caller's until
 * agepred_estimator_free. */
AGEPRED_API agepred_status agepred_estimator_create(const agepred_options *options, agepred_estimator **estimator,
                                                    agepred_error *error);

/* NULL is allowed. No other thread may be using the estimator. */
AGEPRED_API void agepred_estimator_free(agepred_estimator *estimator);

/* What the age model's file says of itself. */
AGEPRED_API agepred_status agepred_estimator_describe(const agepred_estimator *estimator, agepred_estimator_info *info,
                                                      agepred_error *error);

/* Finds the faces of a picture and estimates their ages, largest face first. Needs a face model.
 *   faces          capacity elements; only as many as *count are written
 *   probabilities  capacity x age_count floats, a row a face; or NULL
 *   *count         how many faces there are; more than capacity: AGEPRED_BUFFER_TOO_SMALL */
AGEPRED_API agepred_status agepred_predict(const agepred_estimator *estimator, const agepred_image *image,
                                           agepred_face *faces, size_t capacity, float *probabilities, size_t *count,
                                           agepred_error *error);

/* Estimates the age in one crop that agepred_align has cut with the model's own points.
 *   crop           crop_side x crop_side x 3 bytes, RGB
 *   probabilities  age_count floats, or NULL */
AGEPRED_API agepred_status agepred_predict_crop(const agepred_estimator *estimator, const uint8_t *crop,
                                                agepred_age *estimate, float *probabilities, agepred_error *error);

/* As agepred_predict_crop, and where in the crop the age comes from: Grad-CAM of the mean age, before its ReLU, which
 * is 0 for what is negative (docs/explain.md). Needs a model file with the output `features`: AGEPRED_INVALID_MODEL
 * where agepred_estimator_info.map_rows is 0. map  map_rows x map_columns floats, rows top down: how many years each
 * cell adds to the age, to first order; negative where it takes years away */
AGEPRED_API agepred_status agepred_explain_crop(const agepred_estimator *estimator, const uint8_t *crop,
                                                agepred_age *estimate, float *probabilities, float *map,
                                                agepred_error *error);

#ifdef __cplusplus
}
#endif

#endif
