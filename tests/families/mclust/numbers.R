# Fits of R's mclust, from given partitions: Rscript numbers.R numbers.json
library(mclust)
library(jsonlite)

set.seed(1)
simulated <- function() {
  # three groups with the same principal axes but different variances along them, partly overlapping
  axes <- qr.Q(qr(matrix(rnorm(16), 4)))
  group <- function(n, centre, sd) sweep(sweep(matrix(rnorm(4 * n), n), 2, sd, "*") %*% t(axes), 2, centre, "+")
  round(rbind(
    group(80, c(0, 0, 0, 0), c(3, 1, 0.5, 0.3)),
    group(60, c(2, 2, 0, 1), c(0.5, 2, 1, 0.3)),
    group(60, c(-2, 3, 2, 0), c(1, 0.4, 0.4, 1.5))
  ), 3)
}

data(diabetes); data(thyroid); data(banknote)
tables <- list(
  iris = as.matrix(iris[, 1:4]), diabetes = as.matrix(diabetes[, -1]), faithful = as.matrix(faithful),
  thyroid = as.matrix(thyroid[, -1]), banknote = as.matrix(banknote[, -1]), simulated = simulated()
)
sizes <- c(iris = 3, diabetes = 3, faithful = 3, thyroid = 3, banknote = 3, simulated = 3)
chosen <- list(iris = c("VEV", 2), diabetes = c("VVV", 3), faithful = c("EEE", 3))
models <- c("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV")
strict <- emControl(tol = c(1e-14, 1e-12), itmax = c(20000, 5000))

# Directions in which the means differ. Sigma is the covariance of the data, which is that of the mixture for EEE and VVV.
plane <- function(x, fit) {
  p <- fit$parameters
  fit <- structure(c(fit, list(data = x, classification = map(fit$z), hypvol = NA)), class = "Mclust")
  if (fit$modelName %in% c("EEE", "VVV")) {
    dr <- MclustDR(fit, lambda = 1)
  } else {
    away <- sweep(p$mean, 1, p$mean %*% p$pro)
    within <- apply(sweep(p$variance$sigma, 3, p$pro, "*"), 1:2, sum)
    dr <- MclustDR(fit, lambda = 1, Sigma = within + away %*% (p$pro * t(away)))
  }
  kept <- seq(dr$numdir)
  list(evalues = I(dr$evalues[kept]), directions = t(dr$raw.evectors[, kept, drop = FALSE]))
}

fitted <- function(x, partition, model) {
  fit <- me(x, model, unmap(partition), control = strict)
  if (is.na(fit$loglik)) return(NULL)
  p <- fit$parameters
  list(loglik = fit$loglik, n_parameters = nMclustParams(model, ncol(x), ncol(fit$z)),
       weight = p$pro, mean = t(p$mean), covariance = aperm(p$variance$sigma, c(3, 1, 2)),
       plane = plane(x, fit))
}

result <- list()
for (name in names(tables)) {
  x <- unname(tables[[name]])
  partition <- as.vector(hclass(hc(x, modelName = "VVV", use = "SVD"), sizes[[name]]))
  fits <- sapply(models, function(model) fitted(x, partition, model), simplify = FALSE)
  result[[name]] <- list(x = x, partition = partition - 1, fits = Filter(Negate(is.null), fits))
  if (!is.null(chosen[[name]])) {
    best <- mclustBIC(x, verbose = FALSE)
    result[[name]]$chosen <- unname(strsplit(names(summary(best)[1]), ",")[[1]])
    result[[name]]$bic <- unname(unclass(summary(best))[1])
  }
}
# Discriminant analysis: one structure for all classes (EDDA), and a mixture for each class (MclustDA).
classes <- list(iris = iris$Species, diabetes = diabetes$class, thyroid = thyroid$Diagnosis, banknote = banknote$Status)
discriminant <- function(x, class) {
  one <- function(model) {
    fit <- tryCatch(
      MclustDA(x, class, modelType = "EDDA", modelNames = model, verbose = FALSE, control = strict),
      error = function(e) NULL
    )
    if (is.null(fit) || is.na(fit$loglik)) NULL else list(loglik = fit$loglik, n_parameters = fit$df)
  }
  edda <- Filter(Negate(is.null), sapply(models, one, simplify = FALSE))
  mixtures <- MclustDA(x, class, verbose = FALSE)
  part <- function(fit) list(model = fit$modelName, n_components = fit$G, loglik = fit$loglik)
  list(class = as.character(class), edda = edda,
       chosen = MclustDA(x, class, modelType = "EDDA", verbose = FALSE)$models[[1]]$modelName,
       mixtures = list(loglik = mixtures$loglik, n_parameters = mixtures$df, classes = lapply(mixtures$models, part)))
}
for (name in names(classes)) {
  result[[name]]$classes <- discriminant(unname(tables[[name]]), classes[[name]])
}
write_json(result, commandArgs(trailingOnly = TRUE)[1], digits = I(10), auto_unbox = TRUE)
