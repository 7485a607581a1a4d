//! Where cloud regions stand: the city that the provider names, for latencies from the distance.

/// Name, latitude and longitude in degrees. AWS first, then GCP.
const PLACES: [(&str, f64, f64); 41] = [
    ("af-south-1", -33.9, 18.4),
    ("ap-east-1", 22.3, 114.2),
    ("ap-northeast-1", 35.7, 139.7),
    ("ap-northeast-2", 37.6, 127.0),
    ("ap-northeast-3", 34.7, 135.5),
    ("ap-south-1", 19.1, 72.9),
    ("ap-southeast-1", 1.4, 103.8),
    ("ap-southeast-2", -33.9, 151.2),
    ("ca-central-1", 45.5, -73.6),
    ("eu-central-1", 50.1, 8.7),
    ("eu-north-1", 59.3, 18.1),
    ("eu-south-1", 45.5, 9.2),
    ("eu-west-1", 53.3, -6.3),
    ("eu-west-2", 51.5, -0.1),
    ("eu-west-3", 48.9, 2.4),
    ("me-south-1", 26.1, 50.6),
    ("sa-east-1", -23.5, -46.6),
    ("us-east-1", 39.0, -77.5),
    ("us-east-2", 40.0, -83.0),
    ("us-west-1", 37.4, -122.0),
    ("us-west-2", 45.8, -119.7),
    ("asia-east1", 24.1, 120.5),
    ("asia-east2", 22.3, 114.2),
    ("asia-northeast1", 35.7, 139.7),
    ("asia-northeast2", 34.7, 135.5),
    ("asia-south1", 19.1, 72.9),
    ("asia-southeast1", 1.4, 103.8),
    ("australia-southeast1", -33.9, 151.2),
    ("europe-north1", 60.6, 27.2),
    ("europe-west1", 50.4, 3.8),
    ("europe-west2", 51.5, -0.1),
    ("europe-west3", 50.1, 8.7),
    ("europe-west4", 53.4, 6.8),
    ("europe-west6", 47.4, 8.5),
    ("northamerica-northeast1", 45.5, -73.6),
    ("southamerica-east1", -23.5, -46.6),
    ("us-central1", 41.3, -95.9),
    ("us-east1", 33.2, -80.0),
    ("us-east4", 39.0, -77.5),
    ("us-west1", 45.6, -121.2),
    ("us-west2", 34.1, -118.2),
];

/// Latitude and longitude of a cloud region, in degrees.
pub fn place(region: &str) -> Option<(f64, f64)> {
    PLACES.iter().find(|(name, ..)| *name == region).map(|(_, latitude, longitude)| (*latitude, *longitude))
}

/// Names of cloud regions whose place is known, AWS first.
pub fn names() -> impl Iterator<Item = &'static str> {
    PLACES.iter().map(|(name, ..)| *name)
}
