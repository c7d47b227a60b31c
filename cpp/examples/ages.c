/* ages AGE_MODEL FACE_MODEL PICTURE.ppm: prints a line for each face, in C.
 *
 *     cc ages.c $(pkg-config --cflags --libs agepred) -o ages
 */
#include <agepred/agepred.h>

#include "ppm.h"

#define MAX_FACES 64

int main(int argc, char **argv) {
    agepred_error error = {.struct_size = sizeof error};
    agepred_options options = {.struct_size = sizeof options};
    agepred_face faces[MAX_FACES] = {{.struct_size = sizeof(agepred_face)}};
    agepred_image image = {.struct_size = sizeof image, .format = AGEPRED_RGB};
    agepred_estimator *estimator = NULL;
    size_t count = 0;
    int failed = 1;

    if (argc != 4) {
        fprintf(stderr, "usage: ages AGE_MODEL FACE_MODEL PICTURE.ppm\n");
        return 2;
    }
    uint8_t *pixels = read_ppm(argv[3], &image.width, &image.height);
    if (pixels == NULL) {
        fprintf(stderr, "%s is not a binary PPM of 8 bits\n", argv[3]);
        return 1;
    }
    image.pixels = pixels;
    image.stride = (ptrdiff_t)image.width * 3;
    options.age_model = argv[1];
    options.face_model = argv[2];
    if (agepred_estimator_create(&options, &estimator, &error) == AGEPRED_OK &&
        agepred_predict(estimator, &image, faces, MAX_FACES, NULL, &count, &error) == AGEPRED_OK) {
        failed = 0;
        for (size_t i = 0; i < count; ++i) {
            printf("%.2f years (%.2f to %.2f) at %.0f, %.0f\n", faces[i].age, faces[i].low, faces[i].high, faces[i].x,
                   faces[i].y);
        }
    } else {
        fprintf(stderr, "%s\n", error.message);
    }
    agepred_estimator_free(estimator);
    free(pixels);
    return failed;
}
