// Command csi-registrar announces one CSI driver to the kubelet's plugin watcher.
//
// It stands in for node-driver-registrar where that image cannot be pulled, and takes the same two flags.
package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	csi "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const pluginRegistry = "/registration"

type registrar struct {
	registration.UnimplementedRegistrationServer
	driver   string
	endpoint string
}

func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              r.driver,
		Endpoint:          r.endpoint,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r *registrar) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if !status.PluginRegistered {
		// The kubelet does not ask again by itself: leave, so that the container restarts and is seen anew.
		log.Fatalf("the kubelet refused %s: %s", r.driver, status.Error)
	}
	log.Printf("registered %s", r.driver)
	return &registration.RegistrationStatusResponse{}, nil
}

// driverName waits for the driver's socket and asks the driver what it is called.
func driverName(address string) (string, error) {
	connection, err := grpc.NewClient("unix://"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	info, err := csi.NewIdentityClient(connection).GetPluginInfo(ctx, &csi.GetPluginInfoRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return "", err
	}
	return info.GetName(), nil
}

func main() {
	address := flag.String("csi-address", "/csi/csi.sock", "the driver's socket, as this container sees it")
	endpoint := flag.String("kubelet-registration-path", "", "the driver's socket, as the kubelet sees it")
	flag.Parse()
	if *endpoint == "" {
		log.Fatal("-kubelet-registration-path is required")
	}
	name, err := driverName(*address)
	if err != nil {
		log.Fatalf("no CSI driver answers at %s: %v", *address, err)
	}
	socket := filepath.Join(pluginRegistry, name+"-reg.sock")
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	registration.RegisterRegistrationServer(server, &registrar{driver: name, endpoint: *endpoint})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		server.GracefulStop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
